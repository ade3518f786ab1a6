"use strict";
(function () {
  var tools = document.querySelector("#groups .tools");
  if (!tools) return;
  var groups = Array.prototype.slice.call(document.querySelectorAll("#groups .group"));
  var by = function (id) { return document.getElementById(id); };
  var value = function (id) { return by(id) ? by(id).value : ""; };
  var apply = function () {
    var sort = value("sort"), show = value("show"), type = value("type"), find = value("find").toLowerCase();
    var shown = 0, all = 0;
    groups.forEach(function (group) {
      var list = group.querySelector(".members");
      var members = Array.prototype.slice.call(list.children);
      var key = function (m) {
        if (sort === "sample") return Number(m.dataset.sample);
        var v = m.dataset[sort];
        return v === "" ? Infinity : -Number(v); // masked samples come last
      };
      members.sort(function (a, b) {
        var x = key(a), y = key(b);
        return x < y ? -1 : x > y ? 1 : Number(a.dataset.sample) - Number(b.dataset.sample);
      });
      var question = group.querySelector(".prompt").textContent.toLowerCase();
      var any = false;
      members.forEach(function (m) {
        list.appendChild(m);
        var ok = (!type || group.dataset.type === type) && (!show || m.dataset.show.split(" ").indexOf(show) >= 0) &&
          (!find || question.indexOf(find) >= 0 || m.textContent.toLowerCase().indexOf(find) >= 0);
        m.hidden = !ok;
        all++;
        if (ok) { shown++; any = true; }
      });
      group.hidden = !any;
    });
    by("matches").textContent = shown === all ? all + " samples" : shown + " of " + all + " samples";
  };
  tools.hidden = false;
  tools.addEventListener("input", apply);
  tools.addEventListener("submit", function (e) { e.preventDefault(); });
  apply();
})();
