import Hummingbird
import HummingbirdTLS
import Images
