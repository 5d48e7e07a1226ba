#include "refusal.hpp"

#include <sys/utsname.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <string>
#include <system_error>

namespace heph::rt::detail {

namespace {

int read_sysctl() {
    std::ifstream file("/proc/sys/kernel/io_uring_disabled");
    int value = -1;
    return file >> value ? value : -1;
}

int read_seccomp_mode() {
    std::ifstream file("/proc/thread-self/status");  // A filter is a thread's.
    std::string line;
    while (std::getline(file, line)) {
        int mode = 0;
        if (std::sscanf(line.c_str(), "Seccomp: %d", &mode) == 1) { return mode; }
    }
    return 0;
}

std::string reason_of(const refusal_facts& facts) {
    const std::string kernel =
        std::to_string(facts.kernel_major) + '.' + std::to_string(facts.kernel_minor);
    if (facts.sysctl == 2) {
        return "the sysctl kernel.io_uring_disabled is 2, which forbids it to everybody; "
               "an administrator can set it to 0";
    }
    if (facts.sysctl == 1 && (facts.number == EPERM || facts.number == EACCES)) {
        return "the sysctl kernel.io_uring_disabled is 1, which allows it only with CAP_SYS_ADMIN "
               "or in the group of kernel.io_uring_group; join that group, or set it to 0";
    }
    if (facts.seccomp_mode == 2 &&
        (facts.number == EPERM || facts.number == ENOSYS || facts.number == EACCES)) {
        return "a seccomp filter forbids it, as containers have by default; allow "
               "io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp "
               "profile (Docker: --security-opt seccomp=PROFILE.json)";
    }
    if (facts.number == ENOSYS) {
        return "this kernel (" + kernel +
               ") was built without it, or is too old; 5.19 is needed, "
               "6.1 or newer is best";
    }
    if (facts.number == EINVAL) {
        return "this kernel (" + kernel + ") is too old; 5.19 is needed, 6.1 or newer is best";
    }
    if (facts.number == ENOMEM) {
        return "not enough memory, or the limit of locked memory is too low; raise it "
               "(ulimit -l, LimitMEMLOCK=), or use smaller rings (setup::ring_entries)";
    }
    if (facts.number == EMFILE || facts.number == ENFILE) {
        return "too many open files; raise the limit (ulimit -n, LimitNOFILE=)";
    }
    return "the system gives no more reason than this code";
}

}  // namespace

refusal_facts gather_refusal_facts(int number) {
    refusal_facts facts;
    facts.number = number;
    facts.sysctl = read_sysctl();
    facts.seccomp_mode = read_seccomp_mode();
    utsname names{};
    if (::uname(&names) == 0) {
        (void)std::sscanf(names.release, "%d.%d", &facts.kernel_major, &facts.kernel_minor);
    }
    return facts;
}

error explain_refusal(const refusal_facts& facts) {
    const std::error_code code(facts.number, std::system_category());
    return {code, "the kernel refuses io_uring (" + code.message() + "): " + reason_of(facts)};
}

error explain_refusal(int number) { return explain_refusal(gather_refusal_facts(number)); }

}  // namespace heph::rt::detail
