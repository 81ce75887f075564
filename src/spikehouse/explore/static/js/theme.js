// runs before the first paint, so that a dark page never flashes white
const darkness = matchMedia("(prefers-color-scheme: dark)");
const applyTheme = () => {
  document.documentElement.dataset.theme = localStorage.getItem("spikehouse-theme") ?? (darkness.matches ? "dark" : "light");
};
// before the page draws itself again for the same change
darkness.addEventListener("change", applyTheme);
applyTheme();
