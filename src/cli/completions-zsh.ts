import type { CompletionNode, OfferedOption } from "./completion-tree.ts";

/** A script to be sourced after compinit, or saved as `_cliproxy` in a directory of `$fpath`. */
export function zshScript(nodes: readonly CompletionNode[]): string {
  const options = nodes.flatMap((node) => node.options);
  const takers = [...new Set(options.filter(({ takes }) => takes).map(({ word }) => word))];
  const paths = nodes.filter(({ path }) => path !== "").map(({ path }) => quote(path));
  return `#compdef cliproxy
# zsh completion for cliproxy; load it with: source <(cliproxy completions zsh)
_cliproxy() {
  local path_="" word
  local -i i=2 last=1
  # The command is the longest run of words that is one; options may stand between them.
  local -a paths=(${paths.join(" ")})
  while (( i < CURRENT )); do
    word=$words[i]
    case $word in
      (--) break ;;
      (${takers.join("|")}) (( i += 1 )) ;;
      (-*) ;;
      (*)
        if (( \${paths[(Ie)\${path_:+$path_ }$word]} )); then
          path_="\${path_:+$path_ }$word"
          last=i
        fi ;;
    esac
    (( i += 1 ))
  done
  words=("\${(@)words[last,-1]}")
  (( CURRENT -= last - 1 ))
  case $path_ in
${nodes.map(pathCase).join("\n")}
  esac
}
if [ "$funcstack[1]" = "_cliproxy" ]; then _cliproxy "$@"; else compdef _cliproxy cliproxy; fi
`;
}

function pathCase({ path, words, options, files }: CompletionNode): string {
  const offers = words.map(
    ({ word, summary }) => `${word.replaceAll(":", "\\:")}\\:${describe(summary)}`,
  );
  const place = offers.length === 0 ? [] : [`1:word:((${offers.join(" ")}))`];
  const more = files === true ? ["*:file:_files"] : [];
  const specs = [...options.flatMap(optionSpecs), ...place, ...more].map(quote);
  return `    (${quote(path)}) _arguments -S : ${specs.join(" ")} ;;`;
}

function optionSpecs({ word, summary, short, takes }: OfferedOption): string[] {
  const text = `[${summary.replace(/[[\]:\\]/g, "\\$&")}]`;
  if (takes === undefined) return [word, ...(short ? [`-${short}`] : [])].map((w) => w + text);
  let action = " ";
  if (takes === "file") action = "_files";
  else if (Array.isArray(takes)) action = `(${takes.join(" ")})`;
  return [`${word}=${text}:value:${action}`];
}

/** Inside \`((word\\:summary))\` spaces, brackets and colons need a backslash. */
function describe(summary: string): string {
  return summary.replace(/[^\w.,/-]/g, "\\$&");
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
