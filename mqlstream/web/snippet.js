// Tells of visits to a page: which, from where, how long. No cookie; one random id in the page's own storage. Served by the door
// for webhooks without these comments and its indentation; docs/webhooks.md says how to use it.
(function (w, d, n) {
  var tag = d.currentScript, data = tag.dataset, key = "mqlstream", id, visit, allowed;
  var to = new URL("/v1/ingest/" + data.source, tag.src).href;
  // Do Not Track, Global Privacy Control: whoever says no there is not asked again here.
  var no = n.globalPrivacyControl || n.doNotTrack == 1 || w.doNotTrack == 1 || n.doNotTrack == "yes";

  function random() {
    return Array.from(crypto.getRandomValues(new Uint8Array(16)), function (b) { return (b + 256).toString(16).slice(1); }).join("");
  }

  function visitor() {
    try {
      id = id || localStorage.getItem(key) || random();
      localStorage.setItem(key, id);
    } catch (e) {
      id = id || random();
    }
    return id;
  }

  // A visit begins when the page is seen, and is told when it is left or hidden for the first time: later there may be no chance.
  function begin() {
    if (allowed && d.visibilityState == "visible")
      visit = {
        kind: "web_visit", id: random(), time: Date.now(), anonymous_id: visitor(), url: location.href.split("#")[0].slice(0, 2000),
        title: d.title.slice(0, 300), referrer: d.referrer.slice(0, 2000)
      };
  }

  function end() {
    if (visit) {
      visit.duration_seconds = Math.max(0, Math.round((Date.now() - visit.time) / 1000));
      n.sendBeacon(to, JSON.stringify(visit));
      visit = null;
    }
  }

  function page() {
    end();
    visit = undefined;
    begin();
  }

  function consent(yes) {
    allowed = yes && !no;
    if (allowed) {
      if (visit === undefined) begin();
    } else {
      id = visit = undefined;
      try { localStorage.removeItem(key); } catch (e) {}
    }
  }

  w.mqlstream = { consent: consent, page: page, id: function () { return allowed ? visitor() : null; } };
  d.addEventListener("visibilitychange", function () {
    if (d.visibilityState == "hidden") end();
    else if (visit === undefined) begin();
  });
  w.addEventListener("pagehide", end);
  w.addEventListener("pageshow", function (e) { if (e.persisted) page(); });
  var asked = w[data.consent];
  consent(data.consent == "granted" || (typeof asked == "function" && asked() === true));
})(window, document, navigator);
