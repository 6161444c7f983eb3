//! VLAN tags (IEEE 802.1Q, of a provider 802.1ad).

/// A frame's tags, as in the frame and in its order: four bytes each, tag protocol identifier and tag control information; at most
/// two, with zeros behind. 8 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Tags(pub [u32; 2]);

impl Tags {
    /// No tag.
    pub const NONE: Self = Self([0; 2]);
    /// Of a next hop: a packet to it keeps the tags that it came with.
    pub const KEPT: Self = Self([u32::MAX; 2]);

    /// As in the frame: the outer tag, then the inner one, of which 0 is none.
    #[inline(always)]
    pub const fn of(outer: u32, inner: u32) -> Self {
        Self([outer, inner])
    }
    /// The outer tag as in the frame; 0: none.
    #[inline(always)]
    pub const fn outer(self) -> u32 {
        self.0[0]
    }
    /// The inner tag as in the frame; 0: none.
    #[inline(always)]
    pub const fn inner(self) -> u32 {
        self.0[1]
    }

    /// The same with one more tag outside: of this protocol identifier, for VLAN `id`, with priority 0. `None`: there are two already.
    pub const fn within(self, protocol: u16, id: u16) -> Option<Self> {
        let [p, q] = protocol.to_be_bytes();
        let [i, d] = (id & 0xfff).to_be_bytes();
        match self.inner() {
            0 => Some(Self::of(u32::from_ne_bytes([p, q, i, d]), self.outer())),
            _ => None,
        }
    }

    /// As in the frame, zeros behind.
    pub fn bytes(self) -> [u8; 8] {
        let ([a, b, c, d], [e, f, g, h]) = (self.outer().to_ne_bytes(), self.inner().to_ne_bytes());
        [a, b, c, d, e, f, g, h]
    }

    /// Identifiers of the VLANs, outermost first; 0 is none.
    pub fn ids(self) -> [u16; 2] {
        let id = |tag: u32| {
            let [_, _, i, d] = tag.to_ne_bytes();
            u16::from_be_bytes([i, d]) & 0xfff
        };
        [id(self.outer()), id(self.inner())]
    }
}

/// Tag protocol identifiers.
pub mod tag_protocol {
    /// IEEE 802.1Q.
    pub const CUSTOMER: u16 = 0x8100;
    /// IEEE 802.1ad.
    pub const SERVICE: u16 = 0x88a8;
}

super::assert_layout! {
    Tags: 8, 4;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_as_in_the_frame() {
        let inner = Tags::NONE.within(tag_protocol::CUSTOMER, 200).unwrap();
        assert_eq!(inner.bytes(), [0x81, 0, 0, 200, 0, 0, 0, 0]);
        let both = inner.within(tag_protocol::SERVICE, 0x123).unwrap();
        assert_eq!(both.bytes(), [0x88, 0xa8, 1, 0x23, 0x81, 0, 0, 200]);
        assert_eq!(both.ids(), [0x123, 200]);
        assert_eq!(both.within(tag_protocol::CUSTOMER, 1), None);
    }
}
