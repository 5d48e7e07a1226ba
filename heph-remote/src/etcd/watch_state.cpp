#include "etcd/watch_state.hpp"

namespace heph::remote::etcd {

watch_state::step watch_state::take(gateway::watch_message& message) {
    using enum gateway::watch_message::kind;
    if (message.cluster != cluster_) { return list_again(); }
    switch (message.what) {
        case canceled:
            if (message.compact_revision != 0) { return list_again(); }
            lost();
            return step::leave;
        case created:
            if (message.revision >= floor()) { return step::nothing; }
            phase_ = phase::checking;
            return step::check;
        case progress:
            if (message.revision > seen_) { seen_ = message.revision; }
            return step::nothing;
        case changes: break;
    }
    std::erase_if(message.changes,
                  [this](const watch_event& each) { return each.what.mod_revision <= seen_; });
    if (message.changes.empty()) { return step::nothing; }
    seen_ = message.changes.back().what.mod_revision;
    return step::tell;
}

}  // namespace heph::remote::etcd
