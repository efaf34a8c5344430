/** Who proves a block of the guide: this suite now, or a later issue. */
export type Proof = "here" | "pending: issue 8";

/** One block of the guide as an interface: what a user may write or read, in words of our own. */
export interface GuideBlock {
  /** Names it in test reports. */
  readonly id: string;
  readonly proof: Proof;
  readonly holds:
    | { readonly yaml: unknown }
    | { readonly commands: readonly string[] }
    | { readonly lines: readonly string[] }
    | { readonly json: unknown };
}

const container = "pending: issue 8" as const;

/** Blocks in the order of the guide; configuration as data, commands without their comments. */
export const guideBlocks: readonly GuideBlock[] = [
  {
    id: "checklist commands",
    proof: container,
    holds: {
      commands: [
        "docker pull KooshaPari/cliproxyapi-plusplus:latest",
        "docker trust verify KooshaPari/cliproxyapi-plusplus:latest",
        "chmod 600 auths/*.json",
        "chmod 700 auths/",
      ],
    },
  },
  {
    id: "compose file",
    proof: container,
    holds: {
      yaml: {
        services: {
          cliproxy: {
            image: "KooshaPari/cliproxyapi-plusplus:latest",
            container_name: "cliproxyapi++",
            security_opt: ["no-new-privileges:true"],
            read_only: true,
            tmpfs: ["/tmp:noexec,nosuid,size=100m"],
            cap_drop: ["ALL"],
            cap_add: ["NET_BIND_SERVICE"],
            user: "65534:65534",
            volumes: [
              "./config.yaml:/config/config.yaml:ro",
              "./auths:/auths:rw",
              "./logs:/logs:rw",
              "./tls:/tls:ro",
            ],
            ports: ["8317:8317"],
            deploy: {
              resources: {
                limits: { cpus: "2", memory: "1G" },
                reservations: { cpus: "0.5", memory: "256M" },
              },
            },
            restart: "unless-stopped",
          },
        },
      },
    },
  },
  {
    id: "seccomp profile",
    proof: container,
    holds: {
      commands: [
        "cat > seccomp-profile.json << 'EOF'",
        "{",
        '"defaultAction": "SCMP_ACT_ERRNO",',
        '"syscalls": [',
        "{",
        '"names": ["read", "write", "open", "close", "socket", "bind", "listen"],',
        '"action": "SCMP_ACT_ALLOW"',
        "}",
        "]",
        "}",
        "EOF",
        "security_opt:",
        "- seccomp:./seccomp-profile.json",
      ],
    },
  },
  {
    id: "tls",
    proof: "here",
    holds: {
      yaml: {
        server: {
          port: 8317,
          tls: {
            enabled: true,
            cert_file: "/tls/tls.crt",
            key_file: "/tls/tls.key",
            min_version: "1.2",
            cipher_suites: [
              "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
              "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            ],
          },
        },
      },
    },
  },
  {
    id: "self-signed certificate",
    proof: "here",
    holds: {
      commands: [
        "openssl genrsa -out tls.key 2048",
        "openssl req -new -x509 -key tls.key -out tls.crt -days 365 \\",
        '-subj "/C=US/ST=State/L=City/O=Organization/CN=localhost"',
        "chmod 600 tls.key",
        "chmod 644 tls.crt",
      ],
    },
  },
  {
    id: "certificate of a public authority",
    proof: "here",
    holds: {
      commands: [
        "sudo apt-get install certbot",
        "sudo certbot certonly --standalone -d proxy.example.com",
        "sudo cp /etc/letsencrypt/live/proxy.example.com/fullchain.pem tls/tls.crt",
        "sudo cp /etc/letsencrypt/live/proxy.example.com/privkey.pem tls/tls.key",
        "sudo chown $USER:$USER tls/tls.key tls/tls.crt",
        "chmod 600 tls/tls.key",
        "chmod 644 tls/tls.crt",
      ],
    },
  },
  {
    id: "encryption",
    proof: "here",
    holds: {
      yaml: { auth: { encryption: { enabled: true, key: "YOUR_32_BYTE_ENCRYPTION_KEY_HERE" } } },
    },
  },
  {
    id: "recipes for an encryption key",
    proof: "here",
    holds: {
      commands: [
        "openssl rand -base64 32",
        'python3 -c "import secrets; print(secrets.token_urlsafe(32))"',
        "head -c 32 /dev/urandom | base64",
      ],
    },
  },
  {
    id: "encryption key from the environment",
    proof: "here",
    holds: { yaml: { auth: { encryption: { enabled: true, key: "${CLIPROXY_ENCRYPTION_KEY}" } } } },
  },
  {
    id: "setting the encryption key",
    proof: "here",
    holds: {
      commands: [
        'export CLIPRO_ENCRYPTION_KEY="$(openssl rand -base64 32)"',
        "environment:",
        "- CLIPRO_ENCRYPTION_KEY=${CLIPRO_ENCRYPTION_KEY}",
      ],
    },
  },
  {
    id: "adding a credential again",
    proof: "here",
    holds: {
      commands: [
        "curl -X POST http://localhost:8317/v0/management/auths \\",
        '-H "Content-Type: application/json" \\',
        "-d '{",
        '"provider": "claude",',
        '"type": "api_key",',
        '"token": "sk-ant-xxxxx"',
        "}'",
      ],
    },
  },
  {
    id: "allowlist",
    proof: "here",
    holds: {
      yaml: {
        server: {
          security: {
            ip_allowlist: {
              enabled: true,
              allowed_ips: ["10.0.0.0/8", "192.168.1.100", "203.0.113.0/24"],
            },
          },
        },
      },
    },
  },
  {
    id: "allowlist, all others blocked",
    proof: "here",
    holds: {
      yaml: {
        server: {
          security: {
            ip_allowlist: { enabled: true, allowed_ips: ["10.0.0.0/8"], deny_all: true },
          },
        },
      },
    },
  },
  {
    id: "denylist",
    proof: "here",
    holds: {
      yaml: {
        server: {
          security: {
            ip_denylist: { enabled: true, denied_ips: ["192.0.2.0/24", "198.51.100.100"] },
          },
        },
      },
    },
  },
  {
    id: "rate by address",
    proof: "here",
    holds: {
      yaml: {
        server: {
          security: {
            rate_limiting: { enabled: true, requests_per_second: 10, burst: 20, per_ip: true },
          },
        },
      },
    },
  },
  {
    id: "rate of the whole server",
    proof: "here",
    holds: {
      yaml: { server: { rate_limit: { enabled: true, requests_per_second: 100, burst: 200 } } },
    },
  },
  {
    id: "rate of a provider",
    proof: "here",
    holds: {
      yaml: {
        providers: {
          claude: { rate_limit: { requests_per_minute: 100, tokens_per_minute: 100_000 } },
          openai: { rate_limit: { requests_per_minute: 500, tokens_per_minute: 200_000 } },
        },
      },
    },
  },
  {
    id: "quota",
    proof: "here",
    holds: { yaml: { providers: { claude: { quota: { limit: 1_000_000, reset: "monthly" } } } } },
  },
  {
    id: "security headers",
    proof: "here",
    holds: {
      yaml: {
        server: {
          security: {
            headers: {
              enabled: true,
              strict_transport_security: "max-age=31536000; includeSubDomains",
              content_type_options: "nosniff",
              frame_options: "DENY",
              xss_protection: "1; mode=block",
              content_security_policy: "default-src 'self'",
            },
          },
        },
      },
    },
  },
  {
    id: "headers of every response",
    proof: "here",
    holds: {
      lines: [
        "Strict-Transport-Security: max-age=31536000; includeSubDomains",
        "X-Content-Type-Options: nosniff",
        "X-Frame-Options: DENY",
        "X-XSS-Protection: 1; mode=block",
        "Content-Security-Policy: default-src 'self'",
      ],
    },
  },
  {
    id: "audit log",
    proof: "here",
    holds: {
      yaml: {
        logging: {
          audit: {
            enabled: true,
            file: "/logs/audit.log",
            format: "json",
            events: [
              "auth_success",
              "auth_failure",
              "token_refresh",
              "config_change",
              "provider_request",
              "security_violation",
            ],
          },
        },
      },
    },
  },
  {
    id: "reading the audit log",
    proof: "here",
    holds: {
      commands: [
        "tail -f logs/audit.log",
        'grep "auth_failure" logs/audit.log',
        'grep "security_violation" logs/audit.log',
        "cat logs/audit.log | jq '.'",
      ],
    },
  },
  {
    id: "audit record",
    proof: "here",
    holds: {
      json: {
        timestamp: "2026-02-19T23:00:00Z",
        event_type: "auth_failure",
        provider: "claude",
        user_id: "user@example.com",
        ip: "192.168.1.100",
        result: "invalid_token",
        details: { reason: "Token expired" },
      },
    },
  },
  {
    id: "metrics",
    proof: "here",
    holds: { yaml: { metrics: { enabled: true, port: 9090, path: "/metrics" } } },
  },
  {
    id: "security metrics",
    proof: "here",
    holds: {
      lines: [
        "# HELP cliproxy_auth_failures_total Total authentication failures",
        "# TYPE cliproxy_auth_failures_total counter",
        'cliproxy_auth_failures_total{provider="claude"} 5',
        "# HELP cliproxy_rate_limit_violations_total Total rate limit violations",
        "# TYPE cliproxy_rate_limit_violations_total counter",
        'cliproxy_rate_limit_violations_total{ip="192.168.1.100"} 10',
        "# HELP cliproxy_security_events_total Total security events",
        "# TYPE cliproxy_security_events_total counter",
        'cliproxy_security_events_total{event_type="suspicious_activity"} 1',
      ],
    },
  },
  {
    id: "asking for metrics",
    proof: "here",
    holds: {
      commands: [
        "curl http://localhost:9090/metrics | grep auth_failures",
        "curl http://localhost:9090/metrics | grep rate_limit_violations",
        "curl http://localhost:9090/metrics | grep security_events",
      ],
    },
  },
  {
    id: "blocking an address",
    proof: "here",
    holds: {
      commands: [
        "curl -X POST http://localhost:8317/v0/management/security/ip-denylist \\",
        '-H "Content-Type: application/json" \\',
        "-d '{",
        '"ip": "192.168.1.100",',
        '"reason": "Suspicious activity"',
        "}'",
      ],
    },
  },
  {
    id: "revoking credentials",
    proof: "here",
    holds: { commands: ["curl -X DELETE http://localhost:8317/v0/management/auths/claude"] },
  },
  {
    id: "maintenance",
    proof: "here",
    holds: {
      yaml: { server: { maintenance_mode: true, message: "Scheduled maintenance in progress" } },
    },
  },
  {
    id: "check before deployment",
    proof: "here",
    holds: {
      commands: [
        'echo "Running security checks..."',
        'echo "Checking file permissions..."',
        "find auths/ -type f ! -perm 600",
        "find auths/ -type d ! -perm 700",
        'echo "Scanning for secrets..."',
        "git secrets --scan",
        'echo "Verifying TLS..."',
        "openssl x509 -in tls/tls.crt -checkend 86400",
        'echo "Scanning dependencies..."',
        "trivy fs .",
        'echo "Security checks complete!"',
      ],
    },
  },
  { id: "running the check", proof: "here", holds: { commands: ["./security-check.sh"] } },
];

/** The troubleshooting section: the symptom as it names it, and how many ways out it offers. */
export interface GuideProblem {
  readonly symptom: string;
  readonly solutions: number;
  readonly proof: Proof;
}

export const guideProblems: readonly GuideProblem[] = [
  { symptom: "`certificate verify failed`", solutions: 4, proof: "here" },
  { symptom: "`decryption failed`", solutions: 4, proof: "here" },
  { symptom: "Legitimate requests blocked", solutions: 4, proof: "here" },
  { symptom: "Can't access from allowed IP", solutions: 4, proof: "here" },
  { symptom: "No events in audit log", solutions: 4, proof: "here" },
];
