// The command line of perfbrokerd. Help's text is in help.inc.
#pragma once

#include <pwd.h>

#include "core/log.h"
#include "core/proc.h"

namespace perfbroker {

enum ExitCode : int {
  kOrdered = 0,
  kUsage = 2,
  kNoCapability = 3,
  kSocket = 4,
  kProof = 5,
  kPartDied = 6,
  kStartup = 7
};

// In the order of protocol::Ceiling's bits.
inline constexpr const char* kClassNames[] = {
    "user", "raw", "breakpoint", "tracepoint", "kernel", "other-users", "system-wide"};

// The service users' ids where they have not been created.
inline constexpr uid_t kFallbackBroker = 60910, kFallbackOpener = 60911, kFallbackTracer = 60912;

struct Account {
  uid_t uid = static_cast<uid_t>(-1);
  gid_t gid = static_cast<gid_t>(-1);
};  // -1: as it comes

struct Options {
  std::string policy, socket, socket_owner, socket_group,
      socket_mode = "0666", ceiling = "user", audit, user, opener_user, tracer_user, node = "node",
      log_level = "info";
  Account broker, opener, tracer, socket_ids;  // what the texts above mean, from here on
  uint32_t mode = 0, classes = 0, with_tracer = 0;
};

inline bool parse_number(std::string_view text, uint32_t& value, int base = 10) {
  return take_number(text, value, base) && text.empty();
}

// "all" becomes the list of all.
inline bool parse_ceiling(std::string& names, uint32_t& classes) {
  if (names == "all") names = "user,raw,breakpoint,tracepoint,kernel,other-users,system-wide";
  for (std::string_view text = names, name; !text.empty();
       text.remove_prefix(std::min(text.size(), name.size() + 1))) {
    name = text.substr(0, text.find(','));
    const auto* found = std::ranges::find(kClassNames, name);
    if (found == std::end(kClassNames)) return false;
    classes |= 1u << (found - kClassNames);
  }
  return classes != 0;
}

inline bool find_user(const std::string& text, Account& account) {
  const bool number = parse_number(text, account.uid);
  const passwd* entry = number ? getpwuid(account.uid) : getpwnam(text.c_str());
  if (entry == nullptr && !number) return false;
  account =
      entry != nullptr ? Account{entry->pw_uid, entry->pw_gid} : Account{account.uid, account.uid};
  return true;
}

inline bool find_group(const std::string& text, gid_t& gid) {
  const group* entry = getgrnam(text.c_str());
  if (entry != nullptr) gid = entry->gr_gid;
  return entry != nullptr || parse_number(text, gid);
}

// A service user: never root.
inline bool find_service_user(
    const std::string& given, const char* name, uid_t fallback, Account& account) {
  if (given.empty() && !find_user(name, account)) account = {fallback, fallback};
  return (given.empty() || find_user(given, account)) && account.uid != 0 && account.gid != 0;
}

// The parts run in another directory.
inline void make_absolute(std::string& path) {
  char directory[4096];
  if (path.empty() || path[0] == '/' || getcwd(directory, sizeof directory) == nullptr) return;
  path = std::string(directory) + "/" + path;
}

// Which option's text means nothing; null when all do.
inline const char* interpret(Options& o) {
  if (!parse_ceiling(o.ceiling, o.classes)) return "ceiling";
  if (!parse_number(o.socket_mode, o.mode, 8) || o.mode > 0777) return "socket-mode";
  if (!o.socket_owner.empty() && !find_user(o.socket_owner, o.socket_ids)) return "socket-owner";
  o.socket_ids.gid = static_cast<gid_t>(-1);
  if (!o.socket_group.empty() && !find_group(o.socket_group, o.socket_ids.gid))
    return "socket-group";
  if (!find_service_user(o.user, "perfbroker", kFallbackBroker, o.broker)) return "user";
  if (!find_service_user(o.opener_user, "perfbroker-opener", kFallbackOpener, o.opener))
    return "opener-user";
  if (!find_service_user(o.tracer_user, "perfbroker-tracer", kFallbackTracer, o.tracer))
    return "tracer-user";
  constexpr const char* levels[] = {"error", "warn", "info", "debug"};
  if (std::ranges::find(levels, o.log_level) == std::end(levels)) return "log-level";
  if (const char* path = secure_getenv("PERFBROKER_SOCKET"); o.socket.empty() && path != nullptr)
    o.socket = path;
  if (o.socket.empty()) o.socket = "/run/perfbroker/broker.sock";
  for (std::string* path : {&o.policy, &o.socket, &o.audit}) make_absolute(*path);
  if (o.node.find('/') != std::string::npos) make_absolute(o.node);
  return nullptr;
}

// Returns -1 to go on, or the code to exit with (--help, --version, usage errors, which it has
// reported).
inline int parse_options(std::span<char*> arguments, Options& o) {
  constexpr char help[] =
#include "monitor/help.inc"
      ;
  const std::pair<const char*, std::string*> table[] = {{"policy", &o.policy},
      {"socket", &o.socket}, {"socket-owner", &o.socket_owner}, {"socket-group", &o.socket_group},
      {"socket-mode", &o.socket_mode}, {"ceiling", &o.ceiling}, {"audit", &o.audit},
      {"user", &o.user}, {"opener-user", &o.opener_user}, {"tracer-user", &o.tracer_user},
      {"node", &o.node}, {"log-level", &o.log_level}};
  for (size_t i = 0; i < arguments.size(); i++) {
    std::string name = arguments[i];
    if (name == "--help" || name == "--version") {
      fputs(name == "--help" ? help : "perfbrokerd 0.1.0\n", stdout);
      return kOrdered;
    }
    if (name == "--with-tracer") {
      o.with_tracer = 1;
      continue;
    }
    const size_t equals = name.find('=');
    const auto* found = std::ranges::find_if(table, [&](const auto& option) {
      return name.substr(0, equals) == std::string("--") + option.first;
    });
    if (found == std::end(table) || (equals == std::string::npos && i + 1 == arguments.size())) {
      log_error("%s: no such option, or its value is missing; see --help", arguments[i]);
      return kUsage;
    }
    *found->second = equals == std::string::npos ? arguments[++i] : name.substr(equals + 1);
  }
  const char* wrong = interpret(o);
  if (wrong == nullptr) return -1;
  log_error("--%s: not a valid value, or root's id for a part; see --help", wrong);
  return kUsage;
}

}  // namespace perfbroker
