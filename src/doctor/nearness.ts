import { type IpRange, isInRange, readRange } from "../kit/ip-range.ts";

const nearBlocks = [
  ...["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"],
  ...["100.64.0.0/10", "::1/128", "fc00::/7", "fe80::/10"],
].map((text) => {
  const read = readRange(text);
  if ("problem" in read) throw new Error(`${text} ${read.problem}`);
  return read.range;
});

/** Whether a range has addresses that the internet can reach, or come from. */
export function isPublicRange({ first, last }: IpRange): boolean {
  return !nearBlocks.some((block) => isInRange(first, block) && isInRange(last, block));
}

/** Whether a range holds so many addresses that it names nobody. */
export function isVast(range: IpRange): boolean {
  return range.prefix < (range.first.v4 ? 8 : 16) && isPublicRange(range);
}

/** From where a listener on an address can be reached. */
export function nearness(host: string): "every address of this machine" | "public" | "private" {
  const read = readRange(host.replace(/^\[(.*)\]$/, "$1").replace(/%.*$/, ""));
  // A name may lead anywhere.
  if ("problem" in read) return "public";
  const { a, b, c, d } = read.range.first;
  if (a === 0 && b === 0 && c === 0 && d === 0) return "every address of this machine";
  return isPublicRange(read.range) ? "public" : "private";
}
