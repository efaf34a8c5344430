/** nginx as a pass-through that streams: the configuration, all of its files in one folder. */
export function nginxConfig(port: number, upstreamPort: number, folder: string): string {
  const temps = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `  ${kind}_temp_path ${folder}/nginx-${kind};`)
    .join("\n");
  return `daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr warn;
events { worker_connections 16384; }
http {
  access_log off;
${temps}
  client_max_body_size 32m;
  client_body_buffer_size 2m; # below the body's size, nginx writes bodies to disk
  keepalive_requests 1000000;
  tcp_nodelay on;
  upstream mock {
    server 127.0.0.1:${upstreamPort};
    keepalive 512;
    keepalive_requests 1000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer upstream";
      proxy_buffering off;
      proxy_read_timeout 600s;
    }
  }
}
`;
}
