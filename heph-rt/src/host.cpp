#include <heph/rt/host.hpp>

#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>

namespace heph::rt {

namespace {

std::string machine_id() {
    for (const char* path : {"/etc/machine-id", "/var/lib/dbus/machine-id"}) {
        std::ifstream file(path);
        std::string id;
        if (file >> id && id.size() == 32 &&
            id.find_first_not_of("0123456789abcdef") == std::string::npos) {
            return id;
        }
    }
    return {};
}

}  // namespace

host_info host() {
    host_info info;
    utsname names{};
    if (::uname(&names) == 0) {
        info.os = names.sysname;
        info.release = names.release;
        info.version = names.version;
        info.architecture = names.machine;
        info.name = names.nodename;
    }
    info.id = machine_id();
    info.pid = static_cast<int>(::getpid());
    return info;
}

}  // namespace heph::rt
