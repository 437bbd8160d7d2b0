mod choosing;
mod content;
