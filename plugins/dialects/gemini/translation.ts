import type { Translation } from "../../../src/contract/translation.ts";
import { messageOf } from "../../../src/kit/json-member.ts";
import { fields, limits } from "./fields.ts";
import { GeminiEventReader } from "./read-events.ts";
import { readRequest } from "./read-request.ts";
import { readReply, writeReply } from "./replies.ts";
import { GeminiEventWriter } from "./write-events.ts";
import { writeRequest } from "./write-request.ts";

/** Gemini into the neutral form, and back. */
export const translation: Translation = {
  surface: "gemini",
  verbs: { whole: "generateContent", stream: "streamGenerateContent", query: "?alt=sse" },
  fields,
  limits,
  readRequest,
  writeRequest,
  readReply,
  writeReply,
  readEvents: (tell) => new GeminiEventReader(tell),
  writeEvents: (frame, form) => new GeminiEventWriter(frame, form),
  readError: ({ error }) => messageOf(error),
};
