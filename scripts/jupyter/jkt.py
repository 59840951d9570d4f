"""Runs jupyter_kernel_test with every attribute set, so that nothing is skipped.

    python jkt.py --binary build/loris
"""

import argparse
import signal
import sys
import unittest

import jupyter_kernel_test as jkt

from loriskernel import NAME, private_kernelspec


class Deadline:
    """Some of the suite's own waits are endless: a missing reply must fail."""

    def setUp(self):
        def late(*_):
            raise AssertionError("no answer within 60 s")

        signal.signal(signal.SIGALRM, late)
        signal.alarm(60)

    def tearDown(self):
        signal.alarm(0)


class LorisTests(Deadline, jkt.KernelTests):
    kernel_name = NAME
    language_name = "go"
    file_extension = ".go"
    code_hello_world = 'fmt.Println("hello, world")'
    code_stderr = 'fmt.Fprintln(os.Stderr, "test")'
    completion_samples = [
        {"text": "fmt.Printl", "matches": {"Println"}},
        {"text": "strings.HasPre", "matches": {"HasPrefix"}},
    ]
    complete_code_samples = ["1", "x := 1", "func f() int { return 1 }", 'import "fmt"\nfmt.Println(1)']
    incomplete_code_samples = ["func f() {", "x := []int{1,", "for i := range 3 {\n\tfmt.Println(i)", "a := `raw"]
    invalid_code_samples = ["import = 7q", "func 7q()", "x := )"]
    code_page_something = "fmt.Println?"
    code_generate_error = 'panic("boom")'
    code_execute_result = [
        {"code": "1 + 2 + 3", "result": "6"},
        {"code": "[]int{1, 4, 9}", "result": "[1 4 9]"},
        {"code": '"a" + "b"'},
    ]
    code_display_data = [
        {"code": 'display.Show(display.HTML("<b>test</b>"))', "mime": "text/html"},
        {"code": 'display.Show(display.SVG("<svg xmlns=\\"http://www.w3.org/2000/svg\\"/>"))', "mime": "image/svg+xml"},
    ]
    code_history_pattern = "1 ? 2*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "fmt.Println"
    code_clear_output = "display.Clear(false)"


class LorisWelcomeTests(Deadline, jkt.IopubWelcomeTests):
    kernel_name = NAME
    support_iopub_welcome = True


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    args = parser.parse_args()
    with private_kernelspec(args.binary):
        loader = unittest.defaultTestLoader
        suite = unittest.TestSuite(loader.loadTestsFromTestCase(c) for c in (LorisTests, LorisWelcomeTests))
        result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    failed = len(result.failures) + len(result.errors)
    skipped = len(result.skipped)
    print(f"jupyter_kernel_test: {result.testsRun} run, {failed} failed, {skipped} skipped")
    return 0 if failed == 0 and skipped == 0 and result.testsRun == 13 else 1


if __name__ == "__main__":
    sys.exit(main())
