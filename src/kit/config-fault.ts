/**
 * An error about a configuration that can't be enforced as it stands; the start tells it with file,
 * line and column.
 * @param path dotted, such as `metrics.port`
 * @param message continues a sentence that begins with the path
 * @param mend how to put it right
 */
export function configFault(path: string, message: string, mend: string): Error {
  return Object.assign(new Error(message), { configPath: path, mend });
}
