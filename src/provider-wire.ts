import { createPrivateKey, X509Certificate } from "node:crypto";
import type { ConfigPlaces } from "./config/places.ts";
import type { ConfigProblem } from "./config/problems.ts";
import { keyModeFault, type PemFault, readPem } from "./kit/pem-files.ts";
import type { ProviderSettings } from "./provider-claims.ts";
import type { PoolTls, Runtime } from "./runtime/runtime.ts";

/** How a provider is reached, beside its address. */
export interface ProviderWire {
  /** Of the proxy, with its login. */
  readonly proxyUrl?: string;
  readonly tls?: PoolTls;
}

const certificate = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * Reads a provider's own proxy, authorities and client certificate.
 * @returns them, or what is wrong: a setting that can't be obeyed never means a direct call
 */
export function wireOf(
  name: string,
  settings: ProviderSettings,
  base: string,
  places: ConfigPlaces,
  runtime: Pick<Runtime, "dialsProxies">,
): ProviderWire | ConfigProblem {
  const at = `providers.${name}`;
  const proxy = settings.proxyUrl[name]?.expose();
  const wrong = proxy === undefined ? undefined : proxyFault(proxy, runtime);
  if (wrong !== undefined) return places.problemAt(`${at}.proxy_url`, wrong.message, wrong.mend);
  const files = {
    ca_file: settings.caFile[name],
    cert_file: settings.certFile[name],
    key_file: settings.keyFile[name],
  };
  const given = Object.entries(files).find(([, file]) => file !== undefined)?.[0];
  if (given === undefined) return proxy === undefined ? {} : { proxyUrl: proxy };
  if (!base.startsWith("https:")) {
    const mend = "give the provider an https:// address, or remove it";
    return places.problemAt(`${at}.tls.${given}`, "does nothing over plain http", mend);
  }
  const read = readTls(files);
  if ("key" in read && "fault" in read) {
    const { key, fault } = read;
    return places.problemAt(`${at}.tls.${key}`, fault.message, fault.mend);
  }
  return { tls: read.tls, ...(proxy !== undefined && { proxyUrl: proxy }) };
}

function proxyFault(text: string, { dialsProxies }: Pick<Runtime, "dialsProxies">) {
  if (!URL.canParse(text)) {
    return { message: "is no URL", mend: "write it like http://proxy.example.com:3128" };
  }
  const { protocol } = new URL(text);
  if (protocol.startsWith("socks")) {
    const mend = "name an HTTP proxy, such as one that goes through it";
    return { message: "is a SOCKS proxy, which no runtime here speaks", mend };
  }
  if (protocol !== "http:" && protocol !== "https:") {
    return { message: "must start with http:// or https://", mend: "correct the address" };
  }
  if (dialsProxies) return undefined;
  const mend = "use the executable, Bun or Node 24, or name it in HTTPS_PROXY where that is obeyed";
  return { message: "can't be obeyed on this runtime", mend };
}

interface TlsFiles {
  readonly ca_file: string | undefined;
  readonly cert_file: string | undefined;
  readonly key_file: string | undefined;
}

function readTls({
  ca_file,
  cert_file,
  key_file,
}: TlsFiles):
  | { readonly tls: PoolTls }
  | { readonly key: keyof TlsFiles; readonly fault: PemFault } {
  const tls: { ca?: string; cert?: string; key?: string } = {};
  if (ca_file !== undefined) {
    const ca = readPem(ca_file);
    if (typeof ca !== "string") return { key: "ca_file", fault: ca };
    if (!holdsCertificates(ca)) {
      const message = `${ca_file} holds no certificate that can be read`;
      return { key: "ca_file", fault: { message, mend: "give authorities in PEM form" } };
    }
    tls.ca = ca;
  }
  if (cert_file === undefined && key_file === undefined) return { tls };
  if (cert_file === undefined || key_file === undefined) {
    const key = cert_file === undefined ? "cert_file" : "key_file";
    return { key, fault: { message: "is missing", mend: "name both, or none" } };
  }
  const cert = readPem(cert_file);
  if (typeof cert !== "string") return { key: "cert_file", fault: cert };
  const key = readPem(key_file);
  if (typeof key !== "string") return { key: "key_file", fault: key };
  const open = keyModeFault(key_file);
  if (open !== undefined) return { key: "key_file", fault: open };
  if (!isPair(cert, key)) {
    const message = `${key_file} is not the key of ${cert_file}`;
    return { key: "key_file", fault: { message, mend: "give the two files made together, PEM" } };
  }
  return { tls: { ...tls, cert, key } };
}

function holdsCertificates(pem: string): boolean {
  const blocks = pem.match(certificate) ?? [];
  try {
    return blocks.length > 0 && blocks.every((block) => new X509Certificate(block).subject !== "");
  } catch {
    return false;
  }
}

function isPair(cert: string, key: string): boolean {
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}
