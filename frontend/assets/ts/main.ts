// The order is the order of who wins. Tabler's forms and menus lie in a layer below ours.
import "virtual:tabler.css";
import "@fontsource-variable/inter/opsz.css";
import "../css/tokens.css";
import "../css/takt.css";
import "../css/frame.css";
import "../css/parts.css";
import "../css/charts.css";
import "../css/alarms.css";
import "../css/maintenance.css";
import "../css/quality.css";
import "../css/vision.css";
import "../css/billing.css";
import "../css/pages.css";
import "../css/public.css";
import htmx from "htmx.org";
import { startChart } from "./chart-loader.ts";
import { startCheckOnLeave } from "./check-on-leave.ts";
import { startCopy } from "./copy.ts";
import { startExplorer } from "./explorer-loader.ts";
import { startExplorerSearch } from "./explorer-search.ts";
import { startGuessZone } from "./guess-zone.ts";
import { startKeepForm } from "./keep-form.ts";
import { startKeys } from "./keys.ts";
import { startLabelling } from "./labelling.ts";
import { startLimits } from "./limits.ts";
import { startLive } from "./live.ts";
import { startLiveValue } from "./live-value.ts";
import { startMenu } from "./menu.ts";
import { startOnce } from "./once.ts";
import { definePatch } from "./patch.ts";
import { startRowLink } from "./row-link.ts";
import { startScroller } from "./scroller.ts";
import { startSearch } from "./search.ts";
import { startSignature } from "./signature.ts";
import { startSpark } from "./spark.ts";
import { startStream } from "./stream.ts";
import { startSwitchTabs } from "./switch-tabs.ts";
import { startTheme } from "./theme.ts";
import { startUpload } from "./upload.ts";

// The content security policy allows neither eval nor a <style> element of htmx's own.
htmx.config.allowEval = false;
htmx.config.includeIndicatorStyles = false;
htmx.config.selfRequestsOnly = true;
htmx.config.historyCacheSize = 0; // pages hold readings: going back asks again
htmx.config.scrollIntoViewOnBoost = false;

definePatch();

const behaviours: ReadonlyArray<readonly [selector: string, start: (element: HTMLElement) => void]> = [
  ["[data-chart]", startChart],
  ["[data-check-on-leave]", startCheckOnLeave],
  ["[data-copy]", startCopy],
  ["[data-explorer]", startExplorer],
  ["[data-explorer-search]", startExplorerSearch],
  ["[data-guess-zone]", startGuessZone],
  ["[data-keep]", startKeepForm],
  ["[data-keys]", startKeys],
  ["[data-labelling]", startLabelling],
  ["[data-limits]", startLimits],
  ["[data-live-value]", startLiveValue],
  ["[data-menu]", startMenu],
  ["[data-once]", startOnce],
  ["[data-row-link]", startRowLink],
  [".scroll-x, .stream, .preview, .code", startScroller],
  ["[data-search]", startSearch],
  ["[data-signature]", startSignature],
  ["[data-spark]", startSpark],
  ["[data-stream]", startStream],
  ["[data-switch-tabs]", startSwitchTabs],
  ["[data-theme-choice]", startTheme],
  ["[data-upload]", startUpload],
];

// htmx calls this for the page and for everything it swaps in, so that new parts come to life too.
htmx.onLoad((root) => {
  if (!(root instanceof HTMLElement)) return;
  for (const [selector, start] of behaviours) {
    if (root.matches(selector)) start(root);
    root.querySelectorAll<HTMLElement>(selector).forEach(start);
  }
});

const stream = document.body.dataset["live"];
if (stream) startLive(stream);
