#pragma once

// On which machine, and as which process, the program runs.

#include <string>

namespace heph::rt {

/// Describes the machine and the process. What could not be found out is empty.
struct host_info {
    std::string os;            ///< "Linux".
    std::string release;       ///< The kernel's, such as "6.1.0-18-amd64".
    std::string version;       ///< Of the kernel's build.
    std::string architecture;  ///< Such as "x86_64".
    std::string name;          ///< The host's.
    std::string id;            ///< 32 hexadecimal digits, from /etc/machine-id; see machine-id(5).
    int pid = 0;               ///< Of this process.
};

/// Asks the system. *Thread safety*: safe.
[[nodiscard]] host_info host();

}  // namespace heph::rt
