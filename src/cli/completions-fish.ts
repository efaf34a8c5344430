import type { CompletionNode, OfferedOption } from "./completion-tree.ts";

/** A script for fish 3 and later. */
export function fishScript(nodes: readonly CompletionNode[]): string {
  const options = nodes.flatMap((node) => node.options);
  const takers = [...new Set(options.filter(({ takes }) => takes).map(({ word }) => word))];
  const paths = nodes.filter(({ path }) => path !== "").map(({ path }) => quote(path));
  return `# fish completion for cliproxy; load it with: cliproxy completions fish | source
# Prints the longest run of words that is a command, then how many words follow it.
function __cliproxy_place
  set -l paths ${paths.join(" ")}
  set -l path ""
  set -l more 0
  set -l skip 0
  for word in (commandline -opc)[2..-1]
    if test $skip = 1
      set skip 0
      continue
    end
    switch $word
      case ${takers.join(" ")}
        set skip 1
      case '-*'
      case '*'
        set -l longer (string trim -- "$path $word")
        if test $more = 0; and contains -- $longer $paths
          set path $longer
        else
          set more (math $more + 1)
        end
    end
  end
  echo "$path:$more"
end
function __cliproxy_at
  test (__cliproxy_place) = "$argv[1]:0"
end
function __cliproxy_in
  string match -q -- "$argv[1]:*" (__cliproxy_place)
end
complete -c cliproxy -f
${nodes.flatMap(nodeLines).join("\n")}
`;
}

function nodeLines({ path, words, options, files }: CompletionNode): string[] {
  const at = `complete -c cliproxy -n ${quote(`__cliproxy_at ${quote(path)}`)}`;
  const inside = `complete -c cliproxy -n ${quote(`__cliproxy_in ${quote(path)}`)}`;
  return [
    ...words.map(({ word, summary }) => `${at} -a ${quote(word)} -d ${quote(summary)}`),
    ...(files === true ? [`${inside} -F`] : []),
    ...options.map((option) => `${inside} ${optionFlags(option)} -d ${quote(option.summary)}`),
  ];
}

function optionFlags({ word, short, takes }: OfferedOption): string {
  const names = `-l ${word.slice(2)}${short === undefined ? "" : ` -s ${short}`}`;
  if (takes === undefined) return names;
  if (takes === "file") return `${names} -r -F`;
  return Array.isArray(takes) ? `${names} -x -a ${quote(takes.join(" "))}` : `${names} -x`;
}

function quote(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}
