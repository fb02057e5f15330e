import AsyncHTTPClient
import Images
