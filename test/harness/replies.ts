export { messageEvents, messageReply } from "./upstream/anthropic-messages.ts";
export { chatEvents, chatReply } from "./upstream/openai-chat.ts";
export { replyText } from "./upstream/reply-options.ts";

/** The model list in the shape of the vendor that is asked. */
export function modelList(ids: readonly string[], anthropic: boolean): string {
  if (!anthropic) {
    const data = ids.map((id) => ({ id, object: "model", created: 1, owned_by: "fake" }));
    return JSON.stringify({ object: "list", data });
  }
  const data = ids.map((id) => ({
    id,
    type: "model",
    display_name: id,
    created_at: "2026-01-01T00:00:00Z",
  }));
  const [first_id, last_id] = [ids[0] ?? null, ids.at(-1) ?? null];
  return JSON.stringify({ data, has_more: false, first_id, last_id });
}
