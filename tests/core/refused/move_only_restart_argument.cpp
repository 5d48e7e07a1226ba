// A supervisor that cannot copy an argument for each restart.

#include <memory>

#include <heph/core/supervisor.hpp>

int main() {
    const heph::restart_supervisor supervisor(heph::restart_limit{}, std::make_unique<int>(1));
    return sizeof(supervisor) != 0 ? 0 : 1;
}
