#include "monitor/options.h"

#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "monitor/exit_codes.h"
#include "monitor/protocol.h"
#include "monitor/say.h"

namespace perfbroker {

namespace {

constexpr char kVersionText[] = "perfbrokerd 0.1.0\n";
constexpr char kHelp[] =
    R"(usage: perfbrokerd [OPTION]...
Serve perf event file descriptors to the processes that a policy approves, in the foreground.

  --policy FILE         policy (default: /etc/perfbroker/policy.toml, else the built-in one)
  --socket PATH         default: $PERFBROKER_SOCKET, else /run/perfbroker/broker.sock
  --socket-owner USER   name or uid
  --socket-group GROUP  name or gid
  --socket-mode OCTAL   default 0666: anyone may connect, the policy decides
  --ceiling CLASSES     what may exist here at all, whatever the policy says: a list of user, raw, breakpoint,
                        tracepoint, kernel, other-users, system-wide, or all (default: user)
  --audit FILE          append one JSON line a decision
  --user USER           who runs the broker (default: perfbroker, or uid 60910 where there is no such user)
  --opener-user USER    who runs the opener (default: perfbroker-opener, or uid 60911)
  --node PATH           default: node in PATH, /usr/bin or /usr/local/bin
  --log-level LEVEL     error, warn, info or debug
  --help, --version

Needs CAP_PERFMON, or CAP_SYS_ADMIN where kernel.perf_event_paranoid is 3 or more. A socket may be passed by
LISTEN_FDS. SIGTERM ends in order, SIGHUP reloads the policy.

exit codes:
  0  ended in order
  2  wrong usage
  3  no capability that the kernel accepts, or started with capabilities from the file (setuid, setcap)
  4  the socket is in use or can not be bound
  5  a privilege could not be dropped, or the proof that it was failed
  6  a part died
  7  another failure at start: node or the broker's program missing or unreadable, users, files
)";

constexpr const char* kClassNames[] = {"user", "raw", "breakpoint", "tracepoint", "kernel", "other-users", "system-wide"};

constexpr uid_t kFallbackBroker = 60910;
constexpr uid_t kFallbackOpener = 60911;

template <typename T>
bool parse_number(std::string_view text, T& value, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc{} && end == text.data() + text.size();
}

bool parse_ceiling(std::string_view text, uint32_t& ceiling) {
  ceiling = 0;
  for (;;) {
    const size_t comma = text.find(',');
    const std::string_view name = text.substr(0, comma);
    uint32_t bit = name == "all" ? uint32_t{protocol::kAllClasses} : 0;
    for (unsigned i = 0; i < std::size(kClassNames); i++) {
      if (name == kClassNames[i]) bit = 1u << i;
    }
    if (bit == 0) return false;
    ceiling |= bit;
    if (comma == std::string_view::npos) return true;
    text.remove_prefix(comma + 1);
  }
}

bool find_user(const char* text, Account& account) {
  uid_t uid;
  const bool numeric = parse_number(text, uid);
  const passwd* entry = numeric ? getpwuid(uid) : getpwnam(text);
  if (entry == nullptr && !numeric) return false;
  account = entry != nullptr ? Account{entry->pw_uid, entry->pw_gid} : Account{uid, uid};
  return account.uid != static_cast<uid_t>(-1);
}

bool find_group(const char* text, gid_t& gid) {
  if (parse_number(text, gid)) return gid != static_cast<gid_t>(-1);
  const group* entry = getgrnam(text);
  if (entry != nullptr) gid = entry->gr_gid;
  return entry != nullptr;
}

// The parts run in another directory.
std::string absolute(const std::string& path) {
  char directory[4096];
  if (path.empty() || path[0] == '/' || getcwd(directory, sizeof directory) == nullptr) return path;
  return std::string(directory) + "/" + path;
}

std::string find_node() {
  const char* path = getenv("PATH");
  std::string directories = std::string(path != nullptr ? path : "") + ":/usr/bin:/usr/local/bin";
  for (size_t start = 0; start <= directories.size();) {
    const size_t end = std::min(directories.find(':', start), directories.size());
    const std::string candidate = directories.substr(start, end - start) + "/node";
    // Relative entries of PATH are not for a daemon.
    if (candidate[0] == '/' && candidate != "/node" && access(candidate.c_str(), X_OK) == 0) return candidate;
    start = end + 1;
  }
  return "";
}

int refuse_value(const char* option, const char* value) {
  say("--%s: %s is not a valid value; see --help", option, value);
  return kExitUsage;
}

int choose_user(const char* option, const char* given, const char* name, uid_t fallback, Account& account) {
  if (given != nullptr) {
    if (!find_user(given, account)) return refuse_value(option, given);
  } else if (!find_user(name, account)) {
    account = {fallback, fallback};
  }
  if (account.uid != 0 && account.gid != 0) return -1;
  say("--%s: neither uid nor gid may be root's", option);
  return kExitUsage;
}

}  // namespace

std::string ceiling_names(uint32_t ceiling) {
  std::string names;
  for (unsigned i = 0; i < std::size(kClassNames); i++) {
    if ((ceiling & 1u << i) != 0) names += (names.empty() ? "" : ",") + std::string(kClassNames[i]);
  }
  return names;
}

int parse_options(int argc, char** argv, Options& o) {
  enum Index { kPolicy, kSocket, kOwner, kGroup, kMode, kCeilingOption, kAudit, kUserOption, kOpenerUser, kNode, kLogLevel,
               kHelpOption, kVersionOption };
  static constexpr option table[] = {
      {"policy", 1, nullptr, 0}, {"socket", 1, nullptr, 0}, {"socket-owner", 1, nullptr, 0},
      {"socket-group", 1, nullptr, 0}, {"socket-mode", 1, nullptr, 0}, {"ceiling", 1, nullptr, 0},
      {"audit", 1, nullptr, 0}, {"user", 1, nullptr, 0}, {"opener-user", 1, nullptr, 0}, {"node", 1, nullptr, 0},
      {"log-level", 1, nullptr, 0}, {"help", 0, nullptr, 0}, {"version", 0, nullptr, 0}, {nullptr, 0, nullptr, 0}};
  const char* user = nullptr;
  const char* opener_user = nullptr;
  o.ceiling = protocol::kUser;
  if (const char* socket = secure_getenv("PERFBROKER_SOCKET"); socket != nullptr && *socket != '\0') o.socket = socket;

  int index = 0;
  for (int found; (found = getopt_long(argc, argv, "", table, &index)) != -1;) {
    if (found != 0) return kExitUsage;  // getopt has said which
    bool valid = optarg == nullptr || *optarg != '\0';
    Account owner{};
    switch (index) {
      case kPolicy: o.policy = absolute(optarg); break;
      case kSocket: o.socket = optarg; break;
      case kOwner: valid = find_user(optarg, owner); o.socket_owner = owner.uid; break;
      case kGroup: valid = find_group(optarg, o.socket_group); break;
      case kMode: valid = parse_number(optarg, o.socket_mode, 8) && o.socket_mode <= 0777; break;
      case kCeilingOption: valid = parse_ceiling(optarg, o.ceiling); break;
      case kAudit: o.audit = absolute(optarg); break;
      case kUserOption: user = optarg; break;
      case kOpenerUser: opener_user = optarg; break;
      case kNode: o.node = absolute(optarg); break;
      case kLogLevel: o.log_level = optarg; break;
      case kHelpOption: fputs(kHelp, stdout); return kExitOrdered;
      case kVersionOption: fputs(kVersionText, stdout); return kExitOrdered;
    }
    if (!valid) return refuse_value(table[index].name, optarg);
  }
  if (optind < argc) {
    say("unexpected argument: %s; see --help", argv[optind]);
    return kExitUsage;
  }
  const std::string_view levels[] = {"error", "warn", "info", "debug"};
  bool known = false;
  for (const std::string_view level : levels) known = known || level == o.log_level;
  if (!known) return refuse_value("log-level", o.log_level.c_str());
  o.socket = absolute(o.socket);
  if (o.node.empty()) o.node = find_node();
  if (const int code = choose_user("user", user, "perfbroker", kFallbackBroker, o.broker); code >= 0) return code;
  return choose_user("opener-user", opener_user, "perfbroker-opener", kFallbackOpener, o.opener);
}

}  // namespace perfbroker
