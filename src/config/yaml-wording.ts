type Wording = readonly [message: string, mend: string];

const quoteIt = "put it in quotes";
const wordings: Readonly<Record<string, Wording>> = {
  BAD_ALIAS: ["this is not an alias", `${quoteIt} if it is text`],
  BAD_DIRECTIVE: ["this line is not a YAML directive", "remove it"],
  BAD_DQ_ESCAPE: ["this escape is not known", "use single quotes, or write \\\\ for one \\"],
  BAD_INDENT: ["this line is indented wrongly", "line it up with its neighbours"],
  BAD_SCALAR_START: ["a value can't begin with this character", quoteIt],
  BLOCK_AS_IMPLICIT_KEY: ["a second `: ` in one line", `${quoteIt}, or indent the line rightly`],
  BLOCK_IN_FLOW: ["lines with `-` or `key:` can't stand inside { } or [ ]", "use one form"],
  KEY_OVER_1024_CHARS: ["a key is longer than 1024 characters", "is a quote missing?"],
  MISSING_CHAR: ["something is missing here: a quote, a comma, a colon or a bracket", "add it"],
  MULTILINE_IMPLICIT_KEY: ["a key goes over several lines", "is a quote or a colon missing?"],
  MULTIPLE_DOCS: ["a second document begins here", "remove the `---`: one file, one document"],
  NON_STRING_KEY: ["a map or a list can't be a key", "use a plain word"],
  TAB_AS_INDENT: ["a tab is used as indentation", "use spaces"],
  TAG_RESOLVE_FAILED: ["tags (!name) are not read", `remove it, or ${quoteIt}`],
  UNEXPECTED_TOKEN: ["this is not expected here", "check brackets, quotes and indentation"],
};
const unknown: Wording = ["this is not valid YAML", "check quotes, brackets and indentation"];
const quoteVariable = (variable: string): Wording => [
  "YAML reads the braces of a variable as a map here",
  `put the variable in quotes: "${variable}"`,
];

/**
 * Our own words for an error of the YAML parser, whose words may quote a secret.
 * @param code of the parser
 * @param at offset of the error
 */
export function syntaxWording(code: string, text: string, at: number): Wording {
  if (text[at] === "{" && text[at - 1] === "$") {
    // What may be the name of a variable is shown, its default may be a secret.
    const name = /^\{([A-Za-z_]\w{0,63})[}:]/.exec(text.slice(at, at + 70))?.[1] ?? "NAME";
    return quoteVariable(`\${${name}}`);
  }
  const line = text.slice(at).split("\n", 1)[0] ?? "";
  if (code === "BLOCK_AS_IMPLICIT_KEY" && /\$\{[^}]*: /.test(line)) {
    return quoteVariable(`\${NAME:-default}`);
  }
  return wordings[code] ?? unknown;
}
