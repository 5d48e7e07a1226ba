#pragma once

// The names of heph-inbox, for who only has to mention them.

#include <heph/inbox/layout.hpp>

namespace heph::inbox {

template <typename T, typename Layout = layout::compact>
class sender;
template <typename T, typename Layout = layout::compact>
class receiver;
template <typename T, typename Layout = layout::compact>
class manager;
template <typename T, typename Layout = layout::compact>
class gauge;
template <typename T, typename Layout = layout::compact>
class send_future;
template <typename T, typename Layout = layout::compact>
class send_many_future;
template <typename T, typename Layout = layout::compact>
class recv_future;
template <typename T, typename Layout = layout::compact>
class recv_many_future;
template <typename T, typename Layout = layout::compact>
class recv_span_future;
template <typename T, typename Layout = layout::compact>
class peek_future;
template <typename Environment>
class basic_join_future;
template <typename T, typename Environment = detail::standard_environment>
class oneshot_sender;
template <typename T, typename Environment = detail::standard_environment>
class oneshot_receiver;
template <typename T, typename Environment = detail::standard_environment>
class oneshot_closed_future;
template <typename T, typename Environment = detail::standard_environment>
class oneshot_recv_future;
template <typename T, typename Environment = detail::standard_environment>
class oneshot_recv_once_future;

namespace detail {
struct access;
}

}  // namespace heph::inbox
