import { liftFetchCap } from "./runtime/fetch-cap.ts";

// Before anything is loaded: what follows may replace this very process.
liftFetchCap();
const { main } = await import("./cli/main.ts");
await main();
