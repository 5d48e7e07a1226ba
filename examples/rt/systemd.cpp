// A service of systemd: it says when it is ready and when it ends, and answers the watchdog. Its
// unit has
//
//     [Service]
//     Type=notify
//     WatchdogSec=10
//     ExecStart=/usr/local/bin/systemd
//
// Started by hand it runs all the same, and tells nobody.

#include <chrono>
#include <iostream>
#include <string>

#include <heph/core/either.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/runtime.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/systemd.hpp>
#include <heph/rt/timer.hpp>

using namespace std::chrono_literals;
namespace systemd = heph::rt::systemd;

namespace {

// Looks at itself in the place of work. When this says no, systemd restarts the service.
heph::task<bool> is_well() { co_return true; }

heph::task<> serves(heph::rt::local_context<>, systemd::notifier notify) {
    if (const auto failed = notify.ready()) {
        std::cerr << "cannot tell systemd: " << failed.message() << '\n';
    }
    std::cout << "serving\n" << std::flush;
    for (int served = 0;; ++served) {
        (void)notify.status("served " + std::to_string(served));
        auto first = co_await heph::either(heph::rt::stopping(), heph::rt::timer(1s));
        if (first.index() == 0) { break; }
    }
}

}  // namespace

int main() {
    auto notify = systemd::notifier::from_environment();
    if (!notify) {
        std::cerr << "NOTIFY_SOCKET makes no sense: " << notify.error().message() << '\n';
        return 1;
    }
    auto runtime = heph::rt::setup{}.name("service").threads(1).build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    runtime->run_on_workers([&notify](heph::rt::worker& worker) {
        worker.spawn(heph::no_supervisor(), heph::actor_fn(serves), *notify);
        worker.spawn_future(systemd::keep_watchdog(*notify, is_well));  // Says when it ends, too.
    });
    return heph::rt::report(runtime->start());
}
