#pragma once

// One store a shard, each at one node of a cluster at a time.
//
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/remote/etcd/shards.hpp>
#include <heph/remote/node.hpp>
#include <heph/remote/remote_ref.hpp>

#include "stores.hpp"

namespace notes {

/// Asks the stores of shards, wherever they are. A store's name is the shard's number.
class sharded_stores final : public stores {
public:
    /// *Requires*: made on the worker of the shards.
    explicit sharded_stores(const heph::remote::etcd::shards& all);

    /// Keeps what is known of owners up to date, until the runtime stops. Is run on the worker of
    /// the shards.
    static heph::task<> follow(std::shared_ptr<sharded_stores> self,
                               heph::remote::etcd::shards all);

    [[nodiscard]] std::vector<std::string> names() const override;
    [[nodiscard]] std::string store_of(std::string_view id) const override;
    answer<get_reply> ask(std::string store, get_note asked) override;
    answer<change_reply> ask(std::string store, put_note asked) override;
    answer<change_reply> ask(std::string store, remove_note asked) override;
    answer<list_reply> ask(std::string store, list_ids asked) override;
    [[nodiscard]] std::vector<heph::remote::peer_status> peers() const override {
        return node_.peers();
    }
    [[nodiscard]] std::vector<std::string> places() const override;

private:
    using store_ref = heph::remote::remote_ref<store_message>;
    /// Is what is known of a shard.
    struct place {
        std::string node;  ///< Empty: it is nowhere.
        std::int64_t fence = 0;
        std::optional<store_ref> store;  ///< Once it was found there.
    };

    void look(const heph::remote::etcd::shards& all);
    [[nodiscard]] place known(std::size_t number) const;
    void remember(std::size_t number, std::int64_t fence, const store_ref& found);
    void forget(std::size_t number, const store_ref& failed);
    [[nodiscard]] heph::task<std::expected<store_ref, std::string>> find(
        std::size_t number, heph::remote::deadline patience);
    template <typename Call>
    answer<typename Call::response_type> ask_by(std::string store,
                                                typename Call::request_type asked);

    heph::remote::node node_;
    std::vector<std::string> actor_names_;  // By shard.
    mutable std::mutex mutex_;
    std::vector<place> places_;
};

}  // namespace notes
