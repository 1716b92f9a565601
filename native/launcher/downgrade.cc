#include "launcher/downgrade.h"

#include <linux/securebits.h>
#include <strings.h>

#include "core/proc.h"

namespace perfbroker {
namespace {

constexpr unsigned kSecurebits =
    SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED;

// Calls each(cap) for every capability of the set.
template <typename Each>
void for_each_cap(uint64_t set, Each each) {
  for (; set != 0; set &= set - 1) each(static_cast<unsigned>(__builtin_ctzll(set)));
}

// The bounding set; `known`: every capability of this kernel.
uint64_t read_bounding(uint64_t& known) {
  uint64_t bounding = known = 0;
  for (unsigned cap = 0; cap < 64; cap++) {
    const int held = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
    if (held < 0) break;
    known |= cap_bit(cap);
    if (held == 1) bounding |= cap_bit(cap);
  }
  return bounding;
}

std::string failed(const char* step, int error) {
  return std::string(step) + ": " + strerrordesc_np(error);
}

std::string first_name(uint64_t set) {
  return std::string("CAP_") + cap_name(static_cast<unsigned>(__builtin_ctzll(set)));
}

bool is_root() { return getuid() == 0 || geteuid() == 0; }

// Without NOROOT uid 0 would get the whole bounding set at exec; with it root keeps the caps in its
// ambient set, and no process can add to that.
std::string lock(const CapSets& held, uint64_t keep) {
  if (is_root()) {
    if (const int error = set_caps({held.effective, held.permitted, held.inheritable | keep}))
      return failed("capset", error);
    int error = 0;
    for_each_cap(keep, [&error](unsigned cap) {
      if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) != 0) error = errno;
    });
    if (error != 0) return failed("ambient set", error);
  }
  const int error = lock_securebits();
  return error == 0 ? "" : failed("securebits", error);
}

}  // namespace

bool parse_capabilities(std::string_view& list, uint64_t& bits) {
  bits = list == "all" ? ~uint64_t{0} : 0;
  if (list == "all") return true;
  do {
    std::string name(list.substr(0, list.find(',')));
    if (strncasecmp(name.c_str(), "cap_", 4) == 0) name.erase(0, 4);
    const auto* found = std::ranges::find_if(kCapabilityNames,
        [&name](const char* known) { return strcasecmp(known, name.c_str()) == 0; });
    if (found == std::end(kCapabilityNames)) return false;
    bits |= cap_bit(static_cast<unsigned>(found - kCapabilityNames));
    const size_t comma = list.find(',');
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    if (comma != std::string_view::npos && list.empty()) return false;
  } while (!list.empty());
  return true;
}

std::string apply_downgrade(const Downgrade& d) {
  uint64_t known = 0;
  const uint64_t bounding = read_bounding(known), drop = d.drop & known;
  const CapSets held = get_caps();
  const bool may_seal = (held.effective & cap_bit(CAP_SETPCAP)) != 0;
  bool no_new_privs = d.no_new_privs;

  int error = 0;
  if ((bounding & drop) != 0 && may_seal) {
    for_each_cap(bounding & drop, [&error](unsigned cap) {
      if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0) error = errno;
    });
    if (error != 0) return failed("bounding set", error);
  } else if ((bounding & drop) != 0 && !no_new_privs &&
             (d.named || is_root() || ((held.permitted | held.inheritable) & drop) != 0)) {
    // A user who holds none of these, and requested no downgrade, can run setuid programs in CMD.
    fprintf(stderr,
        "perfbroker: CAP_SETPCAP is missing, so no_new_privs keeps %s from coming back\n",
        first_name(bounding & drop).c_str());
    no_new_privs = true;
  }
  if (d.lock) {
    if (!may_seal) return "--lock sets securebits, which takes CAP_SETPCAP";
    if (std::string problem = lock(held, held.permitted & bounding & ~drop); !problem.empty())
      return problem;
  }
  const CapSets now = get_caps();
  // The ambient set follows: the kernel keeps it within the permitted and the inheritable set.
  if (((now.permitted | now.inheritable) & drop) != 0) {
    error = set_caps({now.effective & ~drop, now.permitted & ~drop, now.inheritable & ~drop});
    if (error != 0) return failed("capset", error);
  }
  if (no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return failed("no_new_privs", errno);
  return "";
}

std::string verify_downgrade(const Downgrade& d) {
  TaskStatus status;
  const UniqueFd file(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
  if (!file || !read_status(file.get(), status)) return failed("/proc/self/status", errno);
  uint64_t known = 0;
  read_bounding(known);
  constexpr const char* names[] = {"inheritable", "permitted", "effective", "bounding", "ambient"};
  for (size_t set = 0; set < std::size(names); set++) {
    const uint64_t left = status.caps[set] & d.drop & known;
    // A capability in the bounding set alone returns by executing a file, which no_new_privs
    // forbids.
    if (left == 0 || (set == kBounding && status.no_new_privs == 1)) continue;
    const char* remedy =
        set == kBounding ? ": a setuid program brings it back (add --no-new-privs)" : "";
    return first_name(left) + " is still in the " + names[set] + " set" + remedy;
  }
  if (d.no_new_privs && status.no_new_privs != 1) return "no_new_privs is not set";
  const int bits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
  if (d.lock && (bits < 0 || (static_cast<unsigned>(bits) & kSecurebits) != kSecurebits))
    return "securebits are not locked";
  return "";
}

}  // namespace perfbroker
