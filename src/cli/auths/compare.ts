import type { CredentialInput } from "../../kit/credential-file.ts";

/** Whether two credentials hold the same secret, whatever people noted beside it. */
export function isSame(a: CredentialInput, b: CredentialInput): boolean {
  if (a.type === "api_key" && b.type === "api_key") return a.token.trim() === b.token.trim();
  if (a.type === "oauth" && b.type === "oauth") {
    return a.refresh_token === b.refresh_token && accessOf(a) === accessOf(b);
  }
  if (a.type === "service_account" && b.type === "service_account") {
    return a.private_key === b.private_key;
  }
  return false;
}

function accessOf(file: CredentialInput & { readonly type: "oauth" }): string | undefined {
  return (file.access_token ?? file.token)?.trim();
}
