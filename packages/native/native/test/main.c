/** @file Runs the tests named on the command line, or all. */
#include <stdio.h>
#include <string.h>

#include "check.h"

static const struct {
  const char *name;
  void (*run)(void);
} TESTS[] = {{"gemm", test_gemm},
             {"elementwise", test_elementwise},
             {"rows", test_rows},
             {"sparse", test_sparse},
             {"slabs", test_slabs}};

int main(int count, char **names) {
  for (size_t i = 0; i < sizeof TESTS / sizeof *TESTS; i++) {
    int wanted = count == 1;
    for (int j = 1; j < count; j++) wanted |= strcmp(names[j], TESTS[i].name) == 0;
    if (!wanted) continue;
    TESTS[i].run();
    printf("%s: ok\n", TESTS[i].name);
  }
  return 0;
}
