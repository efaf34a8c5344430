/** The listeners of a generation, beside the one that clients call. */
export interface ListenPlan {
  /** The listener that clients call speaks TLS, and nothing else. */
  secure(tls: TlsPlan): void;
  add(listener: PlannedListener): void;
}

/** A certificate with its chain and key, PEM. */
export interface TlsIdentity {
  readonly cert: string;
  readonly key: string;
  /** Names that clients ask for it by, in lower case; `*.` stands for one label. */
  readonly hosts: readonly string[];
}

/** How a listener speaks TLS. */
export interface TlsPlan {
  /** The first one answers where no name fits. */
  readonly identities: readonly TlsIdentity[];
  readonly minVersion: "1.2" | "1.3";
  /** Whether clients may choose HTTP/2 by ALPN (RFC 9113, 3.2). */
  readonly http2: boolean;
  /** Suites of TLS 1.2 by OpenSSL's names, joined by colons. */
  readonly ciphers: string;
  /** Authorities of client certificates, PEM. */
  readonly clientCa: string | undefined;
  readonly clientAuth: "require" | "request" | undefined;
  /** Where all this was read: a change is a reload. */
  readonly files: readonly string[];
}

export interface PlannedListener {
  /** What is behind it: kept through reloads while name, host and port stay. */
  readonly name: string;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Where its port stands in the configuration. */
  readonly portKey: string;
  /** What to show a person who looks for it, such as `/metrics`. */
  readonly path: string;
  handle(request: Request): Response | Promise<Response>;
}
