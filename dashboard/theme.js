// Runs before the first paint, so that a chosen theme never flashes as the other one.
const THEMES = ["auto", "light", "dark"];

function chosenTheme() {
  try {
    const stored = localStorage.getItem("theme");
    return THEMES.includes(stored) ? stored : "auto";
  } catch {
    return "auto"; // storage is forbidden: the system's theme is a fine one
  }
}

function applyTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // the choice then lasts as long as the page
  }
}

document.documentElement.dataset.theme = chosenTheme();
