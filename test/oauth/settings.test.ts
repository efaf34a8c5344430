import { describe, expect, test } from "bun:test";
import { Secret } from "../../src/kit/secret.ts";
import { configuredClient, type OAuthSettings } from "../../src/oauth/settings.ts";

const url = "https://a.example/token";
const secret = new Secret("s3cret");

/** The settings of a provider `acme`, by key. */
function settingsOf(given: Readonly<Record<string, unknown>>): OAuthSettings {
  const keys = ["tokenUrl", "deviceUrl", "clientId", "clientSecret", "authMethod", "scopes"];
  const pairs = keys.map((key) => [key, key in given ? { acme: given[key] } : {}]);
  return Object.fromEntries(pairs) as OAuthSettings;
}

describe("the client of a provider", () => {
  const usual = { tokenUrl: url, clientId: "c" };
  test.each([
    ["public", {}, "none"],
    ["with a secret", { clientSecret: secret }, "client_secret_basic"],
    [
      "in the body",
      { clientSecret: secret, authMethod: "client_secret_post" },
      "client_secret_post",
    ],
    ["said to be public", { authMethod: "none" }, "none"],
  ])("%s", (_name, more, method) => {
    const made = configuredClient("acme", settingsOf({ ...usual, ...more }), false);
    expect(made).toMatchObject({ tokenUrl: url, client: { clientId: "c", method }, scopes: [] });
  });

  test("none where nothing is said, or of another provider", () => {
    expect(configuredClient("acme", settingsOf({}), false)).toBeUndefined();
    expect(configuredClient("other", settingsOf(usual), false)).toBeUndefined();
  });

  test.each([
    ["no address", { clientId: "c" }, "token_url"],
    ["only scopes", { scopes: ["a"] }, "token_url"],
    ["no client", { tokenUrl: url }, "client_id"],
    ["an address in the clear", { ...usual, tokenUrl: "http://a.example/" }, "token_url"],
    ["a login in the clear", { ...usual, deviceUrl: "http://a.example/" }, "device_url"],
    [
      "a secret that is not used",
      { ...usual, clientSecret: secret, authMethod: "none" },
      "auth_method",
    ],
    ["a method without its secret", { ...usual, authMethod: "client_secret_post" }, "auth_method"],
  ])("%s is refused", (_name, given, key) => {
    expect(configuredClient("acme", settingsOf(given), false)).toMatchObject({ key });
  });

  test("plain http only where allow_insecure says so, or on this machine", () => {
    const far = settingsOf({ ...usual, tokenUrl: "http://a.example/" });
    expect(configuredClient("acme", far, true)).toMatchObject({ tokenUrl: "http://a.example/" });
    const near = settingsOf({ ...usual, tokenUrl: "http://127.0.0.1:1/t" });
    expect(configuredClient("acme", near, false)).not.toHaveProperty("key");
  });
});
