import { liftFetchCap } from "./runtime/fetch-cap.ts";
import { isPolicyThread } from "./runtime/thread.ts";

// Before anything is loaded: what follows may replace this very process.
liftFetchCap();
if (await isPolicyThread()) {
  await import("./scripts/worker.ts");
} else {
  const { main } = await import("./cli/main.ts");
  await main();
}
