// Package jupyterlab holds tests only: notebooks go in, are run in a real
// JupyterLab in headless Chromium, and the page is examined as a reader would
// see it. `make test-browser` sets up what they need.
package jupyterlab
