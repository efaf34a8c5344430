/** Members of all objects in a JSON text, those that a later one of the same name hides too. */
export function countMembers(json: string): number {
  let members = 0;
  for (let at = 0; at < json.length; at++) {
    const code = json.charCodeAt(at);
    if (code === 0x3a) members++;
    else if (code === 0x22) at = endOfString(json, at);
  }
  return members;
}

function endOfString(json: string, start: number): number {
  let at = start + 1;
  for (; at < json.length && json.charCodeAt(at) !== 0x22; at++) {
    if (json.charCodeAt(at) === 0x5c) at++;
  }
  return at;
}

/** The same of a value that was parsed: fewer, where a key was given twice. */
export function membersOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + membersOf(item), 0);
  let members = 0;
  for (const key of Object.keys(value)) {
    members += 1 + membersOf((value as Record<string, unknown>)[key]);
  }
  return members;
}
