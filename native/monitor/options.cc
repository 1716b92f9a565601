#include "monitor/options.h"

#include <pwd.h>

#include <set>

#include "core/log.h"
#include "core/proc.h"
#include "monitor/exit_code.h"

namespace perfbroker {

namespace {

// In the order of protocol::Ceiling's bits.
constexpr const char* kClassNames[] = {
    "user", "raw", "breakpoint", "tracepoint", "kernel", "other-users", "system-wide"};

// The ids of the service users where these have not been created.
constexpr uid_t kFallbackBroker = 60910, kFallbackOpener = 60911, kFallbackTracer = 60912;

bool parse_number(std::string_view text, uint32_t& value, int base = 10) {
  return take_number(text, value, base) && text.empty();
}

// Replaces "all" by the list of all classes.
bool parse_ceiling(std::string& names, uint32_t& classes) {
  if (names == "all") names = "user,raw,breakpoint,tracepoint,kernel,other-users,system-wide";
  std::string_view text = names;
  while (!text.empty()) {
    const std::string_view name = text.substr(0, text.find(','));
    const auto* found = std::ranges::find(kClassNames, name);
    if (found == std::end(kClassNames)) return false;
    classes |= 1u << (found - kClassNames);
    text.remove_prefix(std::min(text.size(), name.size() + 1));
  }
  return classes != 0;
}

bool find_user(const std::string& text, Account& account) {
  const bool number = parse_number(text, account.uid);
  const passwd* entry = number ? getpwuid(account.uid) : getpwnam(text.c_str());
  if (entry != nullptr) account = {entry->pw_uid, entry->pw_gid};
  if (entry == nullptr && number) account.gid = account.uid;
  return entry != nullptr || number;
}

bool find_group(const std::string& text, gid_t& gid) {
  const group* entry = getgrnam(text.c_str());
  if (entry != nullptr) gid = entry->gr_gid;
  return entry != nullptr || parse_number(text, gid);
}

// Never root and never one of `uids`, for which `cause` is set.
bool find_service_user(const std::string& given, const char* name, uid_t fallback, Account& account,
    std::set<uid_t>& uids, const char*& cause) {
  if (given.empty() && !find_user(name, account)) account = {fallback, fallback};
  if (!given.empty() && !find_user(given, account)) return false;
  const bool root = account.uid == 0 || account.gid == 0;
  const bool shared = !uids.insert(account.uid).second;
  if (root) cause = "no process may have the uid or gid of root";
  if (shared) cause = "another process of the daemon has this uid, and could signal this one";
  return !root && !shared;
}

// The processes run in another directory.
void make_absolute(std::string& path) {
  char directory[4096];
  if (path.empty() || path[0] == '/' || getcwd(directory, sizeof directory) == nullptr) return;
  path = std::string(directory) + "/" + path;
}

// Returns the value of an option that is invalid, or null.
std::string* interpret(Options& o, const char*& cause) {
  if (!parse_ceiling(o.ceiling, o.classes)) return &o.ceiling;
  if (!parse_number(o.socket_mode, o.mode, 8) || o.mode > 0777) return &o.socket_mode;
  if (!o.socket_owner.empty() && !find_user(o.socket_owner, o.socket_ids)) return &o.socket_owner;
  gid_t& group = o.socket_ids.gid;
  group = static_cast<gid_t>(-1);
  if (!o.socket_group.empty() && !find_group(o.socket_group, group)) return &o.socket_group;
  const struct {
    const char* name;
    std::string& given;
    uid_t fallback;
    Account& account;
  } users[] = {{"perfbroker", o.user, kFallbackBroker, o.broker},
      {"perfbroker-opener", o.opener_user, kFallbackOpener, o.opener},
      {"perfbroker-tracer", o.tracer_user, kFallbackTracer, o.tracer}};
  std::set<uid_t> uids;
  for (const auto& [name, given, fallback, account] : users) {
    if (!find_service_user(given, name, fallback, account, uids, cause)) return &given;
  }
  constexpr const char* levels[] = {"error", "warn", "info", "debug"};
  if (std::ranges::find(levels, o.log_level) == std::end(levels)) return &o.log_level;
  const char* path = secure_getenv("PERFBROKER_SOCKET");
  if (o.socket.empty()) o.socket = path && *path ? path : "/run/perfbroker/broker.sock";
  for (std::string* file : {&o.policy, &o.socket, &o.audit}) make_absolute(*file);
  if (o.node.find('/') != std::string::npos) make_absolute(o.node);
  return nullptr;
}

}  // namespace

int parse_options(std::span<char*> arguments, Options& o) {
  constexpr char help[] =
#include "monitor/help.inc"
      ;
  using Option = std::pair<std::string_view, std::string*>;
  const Option table[] = {{"--policy", &o.policy}, {"--socket", &o.socket},
      {"--socket-owner", &o.socket_owner}, {"--socket-group", &o.socket_group},
      {"--socket-mode", &o.socket_mode}, {"--ceiling", &o.ceiling}, {"--audit", &o.audit},
      {"--user", &o.user}, {"--opener-user", &o.opener_user}, {"--tracer-user", &o.tracer_user},
      {"--node", &o.node}, {"--log-level", &o.log_level}};
  for (size_t i = 0; i < arguments.size(); i++) {
    const std::string argument = arguments[i];
    if (argument == "--help" || argument == "--version") {
      fputs(argument == "--help" ? help : "perfbrokerd 0.1.0\n", stdout);
      return kOrdered;
    }
    o.with_tracer |= argument == "--with-tracer";
    if (argument == "--with-tracer") continue;
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    const auto* found = std::ranges::find(table, std::string_view(name), &Option::first);
    const bool known = found != std::end(table);
    if (!known || (equals == std::string::npos && i + 1 == arguments.size())) {
      log_error("%s: %s; see --help", name.c_str(), known ? "no value" : "no such option");
      return kUsage;
    }
    *found->second = equals == std::string::npos ? arguments[++i] : argument.substr(equals + 1);
  }
  const char* cause = "not a valid value";
  const std::string* wrong = interpret(o, cause);
  if (wrong == nullptr) return -1;
  const auto* option = std::ranges::find(table, wrong, &Option::second);
  log_error("%s %s: %s; see --help", option->first.data(), wrong->c_str(), cause);
  return kUsage;
}

}  // namespace perfbroker
