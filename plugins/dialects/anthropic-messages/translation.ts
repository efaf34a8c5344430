import type { Translation } from "../../../src/contract/translation.ts";
import { messageOf } from "../../../src/kit/json-member.ts";
import { fields, limits } from "./fields.ts";
import { MessagesEventReader } from "./read-events.ts";
import { readRequest } from "./read-request.ts";
import { readReply, writeReply } from "./replies.ts";
import { MessagesEventWriter } from "./write-events.ts";
import { writeRequest } from "./write-request.ts";

/** Messages into the neutral form, and back. */
export const translation: Translation = {
  surface: "messages",
  fields,
  limits,
  readRequest,
  writeRequest,
  readReply,
  writeReply,
  readEvents: (tell) => new MessagesEventReader(tell),
  writeEvents: (frame) => new MessagesEventWriter(frame),
  readError: ({ error }) => messageOf(error),
};
