#include "launcher/run_options.h"

#include <algorithm>
#include <string_view>

namespace perfbroker {
namespace {

enum class Meaning {
  kCollector,
  kDrop,
  kKeep,
  kNoNewPrivs,
  kLock,
  kVerify,
  kRequire,
  kSocket,
  kOutput,
  kHelp
};

struct Option {
  char letter;
  std::string_view name;
  bool has_value;
  Meaning meaning;
};

constexpr Option kOptions[] = {{0, "drop", true, Meaning::kDrop}, {0, "keep", true, Meaning::kKeep},
    {0, "no-new-privs", false, Meaning::kNoNewPrivs}, {0, "lock", false, Meaning::kLock},
    {0, "verify", false, Meaning::kVerify}, {0, "require", false, Meaning::kRequire},
    {0, "socket", true, Meaning::kSocket}, {'o', "output", true, Meaning::kOutput},
    {'h', "help", false, Meaning::kHelp}, {'e', "event", true, Meaning::kCollector},
    {'F', "freq", true, Meaning::kCollector}, {'c', "count", true, Meaning::kCollector},
    {'g', "call-graph", false, Meaning::kCollector}, {'m', "mmap-pages", true, Meaning::kCollector},
    {0, "duration", true, Meaning::kCollector}, {'q', "quiet", false, Meaning::kCollector}};

class Parser {
 public:
  Parser(std::span<char*> arguments, RunOptions& options)
      : arguments_(arguments), options_(options) {}

  std::string parse() {
    for (; next_ < arguments_.size(); next_++) {
      const std::string_view word = arguments_[next_];
      if (word.size() < 2 || word[0] != '-') break;
      if (word == "--") {
        next_++;
        break;
      }
      std::string problem =
          word[1] == '-' ? parse_long(word.substr(2)) : parse_letters(word.substr(1));
      if (!problem.empty() || options_.help) return problem;
    }
    if (next_ == arguments_.size()) return "nothing to run: name a CMD";
    options_.command = &arguments_[next_];
    options_.downgrade.drop &= ~keep_;
    return "";
  }

 private:
  std::string parse_long(std::string_view word) {
    const size_t equals = word.find('=');
    const auto* option = std::ranges::find(kOptions, word.substr(0, equals), &Option::name);
    if (option == std::end(kOptions)) return "unknown option '--" + std::string(word) + "'";
    if (equals == std::string_view::npos)
      return option->has_value ? take_value(*option) : apply(*option, "");
    if (!option->has_value) return "--" + std::string(option->name) + " takes no value";
    return apply(*option, word.substr(equals + 1));
  }

  // -g, -gq, -F99, -gF 99.
  std::string parse_letters(std::string_view letters) {
    for (size_t i = 0; i < letters.size(); i++) {
      const auto* option = std::ranges::find(kOptions, letters[i], &Option::letter);
      if (option == std::end(kOptions))
        return "unknown option '-" + std::string(letters.substr(i)) + "'";
      if (option->has_value)
        return i + 1 < letters.size() ? apply(*option, letters.substr(i + 1)) : take_value(*option);
      if (std::string problem = apply(*option, ""); !problem.empty()) return problem;
    }
    return "";
  }

  std::string take_value(const Option& option) {
    if (next_ + 1 == arguments_.size()) return "--" + std::string(option.name) + " wants a value";
    return apply(option, arguments_[++next_]);
  }

  std::string apply(const Option& option, std::string_view value) {
    uint64_t bits = 0;
    switch (option.meaning) {
      case Meaning::kCollector:
        break;
      case Meaning::kDrop:
      case Meaning::kKeep:
        if (!parse_capabilities(value, bits)) {
          return "--" + std::string(option.name) + ": '" +
                 std::string(value.substr(0, value.find(','))) + "' is not a capability";
        }
        (option.meaning == Meaning::kDrop ? options_.downgrade.drop : keep_) |= bits;
        options_.downgrade.named = options_.downgrade.named || option.meaning == Meaning::kDrop;
        break;
      case Meaning::kNoNewPrivs:
        options_.downgrade.no_new_privs = true;
        break;
      case Meaning::kLock:
        options_.downgrade.lock = true;
        break;
      case Meaning::kVerify:
        options_.verify = true;
        break;
      case Meaning::kRequire:
        options_.require = true;
        break;
      case Meaning::kSocket:
        options_.socket = value;
        break;
      case Meaning::kOutput:
        options_.output = value;
        break;
      case Meaning::kHelp:
        options_.help = true;
        break;
    }
    return "";
  }

  std::span<char*> arguments_;
  RunOptions& options_;
  size_t next_ = 0;
  uint64_t keep_ = 0;
};

}  // namespace

std::string parse_run_options(std::span<char*> arguments, RunOptions& options) {
  return Parser(arguments, options).parse();
}

}  // namespace perfbroker
