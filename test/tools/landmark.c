/* A program with a function to stop at; built with -O1, so the function is kept out of line. */
#include <stdio.h>

__attribute__((noinline)) int landmark(int number) {
  __asm__ volatile("" ::: "memory");
  return number * 2;
}

int main(void) {
  printf("%d\n", landmark(21));
  return 5;
}
