import type { CompletionNode, OfferedOption } from "./completion-tree.ts";

/** A script for bash 3.2 and later; it needs no bash-completion package. */
export function bashScript(nodes: readonly CompletionNode[]): string {
  const options = nodes.flatMap((node) => node.options);
  const takers = [...new Set(options.filter(takesValue).map(({ word }) => word))];
  return `# bash completion for cliproxy; load it with: source <(cliproxy completions bash)
_cliproxy() {
  local cur prev option word path="" i words="" options="" files="" named=""
  COMPREPLY=()
  cur=\${COMP_WORDS[COMP_CWORD]}
  prev=""
  if [ "$COMP_CWORD" -gt 0 ]; then prev=\${COMP_WORDS[COMP_CWORD-1]}; fi
  option=$prev
  # Bash splits --name=value into three words.
  if [ "$cur" = "=" ]; then
    cur=""
  elif [ "$prev" = "=" ] && [ "$COMP_CWORD" -gt 1 ]; then
    option=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case "$word" in
      --) return ;;
      ${takers.join("|")})
        if [ "\${COMP_WORDS[i+1]}" = "=" ]; then i=$((i + 2)); else i=$((i + 1)); fi ;;
      -*) ;;
      *) path="$path\${path:+ }$word" ;;
    esac
  done
  case "$path" in
${nodes.map(pathCase).join("\n")}
  esac
  case "$path:$option" in
${nodes.flatMap(valueCases).join("\n")}
  esac
  case "$cur" in -*) ;; *) if [ "$words$named" = yes ]; then files=yes; fi ;; esac
  if [ -n "$files" ]; then
    compopt -o filenames 2>/dev/null
    while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$cur")
    return
  fi
  case "$cur" in
    -*) words=$options ;;
    *) if [ -z "$words" ]; then words=$options; fi ;;
  esac
  if [ "$words" = none ]; then return; fi
  for word in $words; do
    case "$word" in "$cur"*) COMPREPLY+=("$word") ;; esac
  done
}
complete -F _cliproxy cliproxy
`;
}

/** Words below a command are arguments: there only options are offered. */
function pathCase({ path, words, options, files }: CompletionNode): string {
  const list = words.map(({ word }) => word).join(" ");
  const names = options.map(({ word }) => word).join(" ");
  if (files === true) {
    const both = `${JSON.stringify(path)}|${JSON.stringify(`${path} `)}*`;
    return `    ${both}) options="${names}"; named=yes ;;`;
  }
  const exact = `    ${JSON.stringify(path)}) words="${list}"; options="${names}" ;;`;
  const isCommand = path !== "" && words.length === 0;
  return isCommand ? `${exact}\n    ${JSON.stringify(`${path} `)}*) options="${names}" ;;` : exact;
}

/** After an option that takes text there is nothing to offer, least of all other options. */
function valueCases({ path, options }: CompletionNode): string[] {
  return options.filter(takesValue).map(({ word, takes }) => {
    const set =
      takes === "file"
        ? "files=yes"
        : `words="${Array.isArray(takes) ? takes.join(" ") : "none"}"; options=$words`;
    return `    ${JSON.stringify(`${path}:${word}`)}) ${set} ;;`;
  });
}

function takesValue({ takes }: OfferedOption): boolean {
  return takes !== undefined;
}
