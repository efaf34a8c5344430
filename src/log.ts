import { Buffer } from "node:buffer";
// The small build of tslog: it has no masking of its own, and nothing unmasked reaches it.
import { Logger as Tslog } from "tslog/slim";
import type { Clock, LogFields, Logger } from "./contract/types.ts";
import { systemClock } from "./kit/clock.ts";
import { escapeControls } from "./kit/redact.ts";
import { type Plain, redactText, redactValue } from "./kit/redact-value.ts";

/** From all to nothing. */
export const logLevels = ["debug", "info", "warn", "error", "off"] as const;
export type LogLevel = (typeof logLevels)[number];
export type LogFormat = "json" | "pretty";

export interface LogOptions {
  /** Asked for every line, so that a reload can change it. */
  readonly level: LogLevel | (() => LogLevel);
  readonly format: LogFormat | (() => LogFormat);
  /** Takes one line without its newline; what it throws is dropped. */
  write(line: string): void;
  readonly clock?: Pick<Clock, "now">;
  /** Of the root; `child` replaces it. */
  readonly name?: string;
}

/** Longest line in bytes; fields that don't fit are counted instead. */
export const lineBytes = 8192;

/** Room for the field that counts what was left out. */
const reserveBytes = 32;

type Told = Exclude<LogLevel, "off">;

/** The ids of tslog, which are in the same order. */
const ids: Readonly<Record<LogLevel, number>> = { debug: 2, info: 3, warn: 4, error: 5, off: 7 };

/** The operational log: everything is masked, bounded and escaped before tslog sees it. */
export function createLogger(options: LogOptions): Logger {
  const { clock = systemClock, name = "cliproxy" } = options;
  const level = asFunction(options.level);
  const format = asFunction(options.format);
  const base = new Tslog<Entry>({
    type: "hidden",
    name,
    minLevel: 0,
    // Looking up the caller costs 40 us a line, asking whether stdout is a terminal 7 ms at start.
    stack: { capture: "off" },
    pretty: { style: false },
    clock: () => new Date(clock.now()),
    meta: { attachContext: false },
  });
  base.attachTransport({
    format: (record) => toLine(record as unknown as TslogRecord, format()),
    write(_record, line) {
      try {
        options.write(line);
      } catch {
        // A full disk or a closed pipe must not fail the request that wanted to tell something.
      }
    },
  });
  return wrap(base, level);
}

/** Tells nothing to nobody. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};

interface Entry {
  readonly msg: string;
  readonly fields: Plain;
}

interface TslogRecord extends Entry {
  readonly _logMeta: { readonly date: Date; readonly logLevelName: string; readonly name: string };
}

function wrap(tslog: Tslog<Entry>, level: () => LogLevel): Logger {
  const tell = (told: Told) => {
    const id = ids[told];
    return (message: string, fields?: LogFields): void => {
      if (id < ids[level()]) return;
      const entry: Entry = {
        msg: redactText(String(message)),
        fields: fields === undefined ? {} : redactValue(fields),
      };
      tslog.log(id, told, entry);
    };
  };
  return {
    debug: tell("debug"),
    info: tell("info"),
    warn: tell("warn"),
    error: tell("error"),
    child: (name) => wrap(tslog.getSubLogger({ name: redactText(name, 128) }), level),
  };
}

function toLine(record: TslogRecord, format: LogFormat): string {
  const { msg, fields, _logMeta: meta } = record;
  const time = meta.date.toISOString();
  if (format === "pretty") {
    const level = meta.logLevelName.toUpperCase().padEnd(5);
    const head = `${time.slice(11, 23)} ${level} ${escapeControls(meta.name)}: ${escapeControls(msg)}`;
    return addFields(
      head,
      fields,
      (name, value) => ` ${escapeControls(name)}=${prettyValue(value)}`,
    );
  }
  const head = { time, level: meta.logLevelName, name: meta.name, msg };
  const open = toJson(head).slice(0, -1);
  // A field may not pass for one of ours.
  const safe = (name: string) => (Object.hasOwn(head, name) ? `${name}_` : name);
  return `${addFields(open, fields, (name, value) => `,${toJson(safe(name))}:${toJson(value)}`)}}`;
}

/** Adds fields as long as they fit; a JSON line that is cut off could not be read. */
function addFields(
  head: string,
  fields: Plain,
  print: (name: string, value: Plain) => string,
): string {
  if (typeof fields !== "object" || fields === null || Array.isArray(fields)) return head;
  let line = head;
  let left = lineBytes - reserveBytes - Buffer.byteLength(head);
  let dropped = 0;
  for (const [name, value] of Object.entries(fields)) {
    const text = print(name, value as Plain);
    const size = Buffer.byteLength(text);
    if (size > left) {
      dropped += 1;
      continue;
    }
    line += text;
    left -= size;
  }
  return dropped === 0 ? line : line + print("dropped_fields", dropped);
}

/** JSON escapes what is below U+0020; the rest that is unsafe lies between U+007F and U+FFFB. */
function toJson(value: unknown): string {
  return escapeControls(JSON.stringify(value));
}

function prettyValue(value: Plain): string {
  const isWord = typeof value === "string" && /^[\w.:/@-]+$/.test(value);
  return isWord ? value : toJson(value);
}

function asFunction<T extends string>(value: T | (() => T)): () => T {
  return typeof value === "function" ? value : () => value;
}
