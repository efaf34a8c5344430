import * as v from "valibot";
import { doc, port } from "../../src/kit/schema.ts";
import { findSuite } from "../../src/kit/tls-suites.ts";

const file = v.pipe(v.string(), v.nonEmpty());
const hostName = /^(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*$/i;
/** Most certificates beside the first one. */
export const mostCertificates = 64;
/** Most names of one certificate. */
export const mostHosts = 100;

const suiteName = v.pipe(
  v.string(),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const found = findSuite(dataset.value);
    if (typeof found === "string") addIssue({ message: `${dataset.value} ${found}` });
  }),
);

const certificate = v.strictObject({
  cert_file: v.pipe(file, doc("Certificate and chain, PEM.", { example: "/tls/other.crt" })),
  key_file: v.pipe(file, doc("Its key, PEM.", { example: "/tls/other.key" })),
  hosts: v.optional(
    v.pipe(
      v.array(v.pipe(v.string(), v.regex(hostName, "must be a host name, or *. and one"))),
      v.minLength(1),
      v.maxLength(mostHosts),
      doc("Names that clients ask for it by; without them those in the certificate.", {
        example: ["other.example.com"],
      }),
    ),
  ),
});

/** The settings of TLS. */
export const schema = v.strictObject({
  enabled: v.optional(
    v.pipe(
      v.boolean(),
      doc("Serve clients by HTTPS, and only by it; must be said where another key is set."),
    ),
  ),
  certFile: v.optional(
    v.pipe(file, doc("Certificate and chain, PEM.", { example: "/tls/tls.crt" })),
  ),
  keyFile: v.optional(v.pipe(file, doc("Its key, PEM.", { example: "/tls/tls.key" }))),
  minVersion: v.optional(
    v.pipe(
      v.picklist(["1.2", "1.3"], 'must be "1.2" or "1.3": what is older is broken'),
      doc("Oldest version of TLS that clients may speak."),
    ),
    "1.2",
  ),
  cipherSuites: v.optional(
    v.pipe(
      v.array(suiteName),
      v.minLength(1, "would leave TLS 1.2 without any"),
      doc("Suites of TLS 1.2, by IANA or OpenSSL name; without a list all good ones.", {
        example: ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"],
      }),
    ),
  ),
  certificates: v.optional(
    v.pipe(
      v.array(certificate),
      v.maxLength(mostCertificates),
      doc("Further certificates, for clients that ask for other names (SNI)."),
    ),
    [],
  ),
  http2: v.optional(
    v.pipe(v.boolean(), doc("Also speak HTTP/2 with clients that offer it by ALPN.")),
    false,
  ),
  clientCaFile: v.optional(
    v.pipe(file, doc("Authorities of client certificates, PEM.", { example: "/tls/clients.crt" })),
  ),
  clientAuth: v.optional(
    v.pipe(
      v.picklist(["require", "request"]),
      doc("Whether a client must show a certificate or may.", { example: "require" }),
    ),
  ),
  redirectPort: v.optional(
    v.pipe(port(), doc("Port on which plain HTTP is sent on to HTTPS.", { example: 8080 })),
  ),
});
export type Settings = v.InferOutput<typeof schema>;
