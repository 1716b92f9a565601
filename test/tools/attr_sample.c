// Prints, as one line of hexadecimal, a struct perf_event_attr whose every brokered field has a value of its own: what
// the C compiler makes of linux/perf_event.h, to compare the codec with.
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  struct perf_event_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.type = 8;
  attr.size = sizeof attr;
  attr.config = 0x1122334455667788;
  attr.config1 = 0x21;
  attr.config2 = 0x22;
  attr.sample_freq = 4242;
  attr.freq = 1;
  attr.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_BRANCH_STACK | PERF_SAMPLE_CODE_PAGE_SIZE;
  attr.read_format = PERF_FORMAT_ID | PERF_FORMAT_GROUP;
  attr.disabled = 1;
  attr.inherit = 1;
  attr.pinned = 1;
  attr.exclude_kernel = 1;
  attr.exclude_guest = 1;
  attr.exclude_callchain_user = 1;
  attr.mmap = 1;
  attr.mmap2 = 1;
  attr.comm_exec = 1;
  attr.context_switch = 1;
  attr.build_id = 1;
  attr.cgroup = 1;
  attr.inherit_thread = 1;
  attr.remove_on_exec = 1;
  attr.write_backward = 1;
  attr.sample_id_all = 1;
  attr.precise_ip = 2;
  attr.watermark = 1;
  attr.wakeup_watermark = 65536;
  attr.branch_sample_type = PERF_SAMPLE_BRANCH_USER | PERF_SAMPLE_BRANCH_ANY_CALL | PERF_SAMPLE_BRANCH_PRIV_SAVE;
  attr.sample_regs_user = 0xff0fff;
  attr.sample_regs_intr = 0x77;
  attr.sample_stack_user = 8192;
  attr.use_clockid = 1;
  attr.clockid = 11;
  attr.sample_max_stack = 77;
  const unsigned char *bytes = (const unsigned char *)&attr;
  for (size_t i = 0; i < sizeof attr; i++) printf("%02x", bytes[i]);
  printf("\n");
  return 0;
}
