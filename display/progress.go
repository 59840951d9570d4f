package display

const progressCSS = ``
