import type { Translation } from "../../../src/contract/translation.ts";
import { readOpenaiMessage } from "../../../src/kit/openai-shapes.ts";
import { fields, limits } from "./fields.ts";
import { ChatEventReader } from "./read-events.ts";
import { readRequest } from "./read-request.ts";
import { readReply, writeReply } from "./replies.ts";
import { ChatEventWriter } from "./write-events.ts";
import { writeRequest } from "./write-request.ts";

/** Chat Completions into the neutral form, and back. */
export const translation: Translation = {
  surface: "chat",
  fields,
  limits,
  readRequest,
  writeRequest,
  readReply,
  writeReply,
  readEvents: (tell) => new ChatEventReader(tell),
  writeEvents: (frame) => new ChatEventWriter(frame),
  readError: readOpenaiMessage,
};
