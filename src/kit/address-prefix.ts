/** The unit by which addresses are counted: one IPv6 client owns a whole /64. */
export function addressPrefix(address: string): string {
  if (!address.includes(":")) return address;
  const [head = ""] = address.split("%");
  const [left = "", right] = head.split("::");
  const groups = left === "" ? [] : left.split(":");
  if (right !== undefined) {
    const tail = right === "" ? [] : right.split(":");
    while (groups.length + tail.length < 8) groups.push("0");
    groups.push(...tail);
  }
  return groups
    .slice(0, 4)
    .map((g) => Number.parseInt(g, 16).toString(16))
    .join(":");
}
