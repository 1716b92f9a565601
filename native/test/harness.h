// Tests with sentences as names. Each runs in a process of its own, so that what it drops or leaks
// stays there.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

namespace harness {

struct Test {
  const char* name;
  void (*body)();
};

inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

inline bool add(const char* name, void (*body)()) {
  tests().push_back({name, body});
  return true;
}

inline int failures = 0;
inline std::string skipped;  // why

inline void check(bool good, const char* what, const char* file, int line) {
  if (good) return;
  failures++;
  printf("# %s:%d: %s\n", file, line, what);
}

template <typename A, typename B>
void equal(const A& found, const B& wanted, const char* what, const char* file, int line) {
  const auto a = static_cast<long long>(found), b = static_cast<long long>(wanted);
  if (a == b) return;
  failures++;
  printf("# %s:%d: %s is %lld (%#llx), not %lld\n", file, line, what, a,
      static_cast<unsigned long long>(a), b);
}

}  // namespace harness

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
#define TEST(name)                                            \
  static void JOIN(test_, __LINE__)();                        \
  [[maybe_unused]] static const bool JOIN(added_, __LINE__) = \
      harness::add(name, JOIN(test_, __LINE__));              \
  static void JOIN(test_, __LINE__)()
// A test of privileged behaviour: skipped, saying so, for everyone but root.
#define ROOT_TEST(name)                     \
  static void JOIN(as_root_, __LINE__)();   \
  TEST(name) {                              \
    if (geteuid() != 0) SKIP("needs root"); \
    JOIN(as_root_, __LINE__)();             \
  }                                         \
  static void JOIN(as_root_, __LINE__)()
#define CHECK(condition) harness::check((condition), #condition, __FILE__, __LINE__)
#define EQUAL(found, wanted) harness::equal((found), (wanted), #found, __FILE__, __LINE__)
#define SKIP(reason)             \
  do {                           \
    harness::skipped = (reason); \
    return;                      \
  } while (0)
