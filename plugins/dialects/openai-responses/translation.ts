import type { Translation } from "../../../src/contract/translation.ts";
import { readOpenaiMessage } from "../../../src/kit/openai-shapes.ts";
import { fields, limits } from "./fields.ts";
import { ResponsesEventReader } from "./read-events.ts";
import { readRequest } from "./read-request.ts";
import { readReply, writeReply } from "./replies.ts";
import { ResponsesEventWriter } from "./write-events.ts";
import { writeRequest } from "./write-request.ts";

/** Responses into the neutral form, and back. */
export const translation: Translation = {
  surface: "responses",
  fields,
  limits,
  readRequest,
  writeRequest,
  readReply,
  writeReply,
  readEvents: (tell) => new ResponsesEventReader(tell),
  writeEvents: (frame) => new ResponsesEventWriter(frame),
  readError: readOpenaiMessage,
};
