#include <heph/remote/etcd/error.hpp>

#include <string>
#include <system_error>

namespace heph::remote::etcd {

namespace {

class etcd_category final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "heph.remote.etcd"; }
    [[nodiscard]] std::string message(int value) const override {
        switch (static_cast<errc>(value)) {
            case errc::unavailable: return "no endpoint of etcd is reached, or none has a leader";
            case errc::timed_out: return "etcd did not answer in time";
            case errc::outcome_unknown:
                return "etcd did not answer; the change may have taken effect: look before asking "
                       "again";
            case errc::lease_not_found:
                return "the lease has expired or was revoked: get another one";
            case errc::compacted:
                return "the revision is not kept any more: read what is there now";
            case errc::taken: return "another owner holds the name";
            case errc::permission_denied: return "etcd does not let this user do that";
            case errc::invalid_request: return "etcd does not accept the request";
            case errc::no_space: return "etcd's storage is full: compact and defragment it";
            case errc::bad_answer: return "this is no answer of etcd: is the endpoint right?";
            case errc::too_large: return "etcd's answer is larger than is taken";
            case errc::bad_settings: return "the settings make no sense";
        }
        return "unknown error of etcd";
    }
};

}  // namespace

const std::error_category& error_category() noexcept {
    static const etcd_category instance;
    return instance;
}

std::error_code make_error_code(errc error) noexcept {
    return {static_cast<int>(error), error_category()};
}

}  // namespace heph::remote::etcd
