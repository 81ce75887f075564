// runs before the first paint, so that a dark page never flashes white
const chosen = localStorage.getItem("spikehouse-theme");
if (chosen) document.documentElement.dataset.theme = chosen;
