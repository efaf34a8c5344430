#!/usr/bin/env bash
# Measures the compiled proxy beside others. See README.md, or: npm run bench -- --help
set -euo pipefail
cd "$(dirname "$0")"
bun=../node_modules/.bin/bun

[ "$(uname -s)" = Linux ] || { echo "bench: needs Linux (/proc, epoll, taskset)" >&2; exit 2; }
[ -x "$bun" ] || { echo "bench: run 'npm ci' first" >&2; exit 2; }
for tool in "${CC:-cc}" taskset; do
  command -v "$tool" >/dev/null || { echo "bench: needs $tool" >&2; exit 2; }
done

mkdir -p .build
for tool in mockllm llmload; do
  if [ ! -x ".build/$tool" ] || [ "tools/$tool.c" -nt ".build/$tool" ]; then
    "${CC:-cc}" -O2 -Wall -Wextra -std=gnu17 -o ".build/$tool" "tools/$tool.c"
  fi
done
if [ ! -x ../dist/cliproxy ] && [ -z "${CLIPROXY_BINARY:-}" ]; then
  echo "bench: building dist/cliproxy" >&2
  (cd .. && node_modules/.bin/bun build.ts) >&2 || echo "bench: the build failed" >&2
fi

# Thousands of streams need as many files; what the bench starts inherits both.
ulimit -n "$(ulimit -Hn)"
exec nice -n "${BENCH_NICE:--5}" taskset -c "${LOAD_CPU:-1}" "$bun" bench.ts "$@"
